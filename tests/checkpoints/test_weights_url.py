"""Weights by URL, from a server on loopback: fetched once, checked, refused in one line."""

import hashlib

import numpy as np
import pytest
from loopback import names, served

from gpemsr.checkpoints.shipped import weights_file
from gpemsr.cli import upscale
from gpemsr.data.volumes.writer import TiffStackWriter
from gpemsr.errors import InputError
from gpemsr.files import exclusive

WEIGHTS = np.random.default_rng(0).bytes(100_000)
CHECKSUM = hashlib.sha256(WEIGHTS).hexdigest()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "gpemsr"


@pytest.fixture
def site(monkeypatch, cache):
    with served({"net.safetensors": WEIGHTS}, monkeypatch) as site:
        yield site


def test_they_are_fetched_once(site, cache):
    url = f"{site.url}net.safetensors?download=1#sha256={CHECKSUM.upper()}"
    site.files = {"net.safetensors?download=1": WEIGHTS}
    path = weights_file(url)
    assert path.read_bytes() == WEIGHTS and path.name == "net.safetensors" and path.is_relative_to(cache)
    assert weights_file(url) == path and len(site.requests) == 1
    assert names(path.parent) == ["net.safetensors"]


def test_a_damaged_file_of_the_cache_is_fetched_again(site, cache):
    url = f"{site.url}net.safetensors#sha256={CHECKSUM}"
    weights_file(url).write_bytes(WEIGHTS[:-1])
    assert weights_file(url).read_bytes() == WEIGHTS


def test_an_interrupted_transfer_goes_on(site, cache):
    site.cut_after = [50_000, 0, 0, 0]
    url = f"{site.url}net.safetensors#sha256={CHECKSUM}"
    with pytest.raises(InputError, match="run the command again to continue from"):
        weights_file(url)
    site.requests.clear()
    assert weights_file(url).read_bytes() == WEIGHTS
    assert site.ranges_asked[0].startswith("bytes=") and len(site.requests) == 1


@pytest.mark.parametrize("end", ["", "#sha256=", f"#sha256={CHECKSUM[1:]}", f"#md5={CHECKSUM}"])
def test_without_a_checksum_nothing_is_fetched(site, tmp_path, end, capsys):
    url = f"{site.url}net.safetensors{end}"
    assert upscale.main([str(tmp_path / "lr.tif"), str(tmp_path / "sr.zarr"), "--weights", url]) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"error: {url}: expected https://") and message.count("\n") == 1
    assert not site.requests


def write_stack(path, voxel_size) -> None:
    with TiffStackWriter(path, (1, 8, 8), np.uint8, voxel_size) as stack:
        stack.write(np.linspace(0, 255, 64).astype(np.uint8).reshape(8, 8))


def upscaled(tmp_path, url: str, capsys) -> str:
    """The line that gpemsr-upscale of lr.tif ends with."""
    assert upscale.main([str(tmp_path / "lr.tif"), str(tmp_path / "sr.zarr"), "--weights", url]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ") and message.count("\n") == 1
    return message


def test_the_volume_is_checked_before_anything_is_fetched(site, cache, tmp_path, capsys):
    url = f"{site.url}net.safetensors#sha256={CHECKSUM}"
    assert "lr.tif: no such file" in upscaled(tmp_path, url, capsys)
    write_stack(tmp_path / "lr.tif", None)
    assert "voxel size unknown" in upscaled(tmp_path, url, capsys)
    assert not site.requests and not cache.exists()


def test_two_at_a_time_are_refused_in_one_line(site, cache, tmp_path, capsys):
    write_stack(tmp_path / "lr.tif", (40.0, 8.0, 8.0))
    url = f"{site.url}net.safetensors#sha256={CHECKSUM}"
    with exclusive(cache / CHECKSUM[:16] / "net.safetensors", "is fetching it"):
        message = upscaled(tmp_path, url, capsys)
    assert "net.safetensors: another process is fetching it; start again when that has ended" in message
    assert not site.requests


@pytest.mark.parametrize(
    ("name", "checksum", "says"),
    [("net.safetensors", "0" * 64, f"SHA-256 {CHECKSUM} is not 000"), ("other.pth", CHECKSUM, "answers 404")],
)
def test_what_the_server_has_not_is_refused(site, cache, name, checksum, says):
    with pytest.raises(InputError, match=says):
        weights_file(f"{site.url}{name}#sha256={checksum}")
    assert names(cache / checksum[:16]) == []


def test_a_host_that_is_not_there_and_a_cache_that_cannot_be_written_are_refused(site, cache):
    url = f"{site.url}net.safetensors#sha256={CHECKSUM}"
    site.server.server_close()
    with pytest.raises(InputError, match=r"not fetched \(\[Errno 111\] Connection refused\); run the command again$"):
        weights_file(url)
    (cache / CHECKSUM[:16]).rmdir()
    (cache / CHECKSUM[:16]).touch()
    with pytest.raises(InputError, match="cannot be written"):
        weights_file(url)
