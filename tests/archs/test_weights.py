"""Published weights: a file of the user's, or one fetched once into torch's cache, from a server on loopback."""

import errno
import fcntl
import hashlib
import io
import threading

import pytest
import torch
from loopback import names, served

from gpemsr.archs.weights import SPYNET, VGG19, PublishedWeights, fetch, load_weights
from gpemsr.files import exclusive


def checkpoint() -> bytes:
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(1)}, buffer)
    return buffer.getvalue()


WEIGHTS = checkpoint()
NAME = f"net-{hashlib.sha256(WEIGHTS).hexdigest()[:8]}.pth"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    return tmp_path / "checkpoints"


@pytest.fixture
def site(monkeypatch, cache):
    with served({NAME: WEIGHTS, "net-00000000.pth": WEIGHTS}, monkeypatch) as site:
        yield site


def published(site, name: str = NAME) -> PublishedWeights:
    return PublishedWeights("net_weights", site.url + name, "a path")


def test_a_file_of_the_users_is_read(tmp_path):
    (tmp_path / "w.pth").write_bytes(WEIGHTS)
    assert load_weights(str(tmp_path / "w.pth"), VGG19) == {"a": torch.ones(1)}


def test_they_are_fetched_once(site, cache):
    assert load_weights("download", published(site)) == {"a": torch.ones(1)}
    assert fetch(published(site)) == cache / NAME
    assert names(cache) == [NAME] and len(site.requests) == 1


def test_the_published_files_have_the_beginning_of_a_checksum_in_their_names():
    assert VGG19.url.endswith("/vgg19-dcbb9e9d.pth") and SPYNET.url.endswith("/spynet_sintel_final-3d2a1287.pth")


def test_an_interrupted_download_goes_on(site, cache):
    site.cut_after = [len(WEIGHTS) // 2]
    assert fetch(published(site)).read_bytes() == WEIGHTS
    assert len(site.requests) == 2


@pytest.mark.parametrize(
    ("name", "reason"), [("net-00000000.pth", "SHA-256 .* is not 00000000"), ("net-11111111.pth", "answers 404")]
)
def test_a_failed_download_says_what_fits_instead(site, cache, name, reason):
    text = f"^net_weights=download: {site.url}{name} cannot be downloaded \\(.*{reason}.*; expected a path$"
    with pytest.raises(ValueError, match=text):
        fetch(published(site, name))
    assert names(cache) == []


def test_a_cache_without_locks_is_refused_and_not_waited_for(site, cache, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", fail)
    with pytest.raises(ValueError, match=r"^net_weights=download: .* cannot be locked .*No locks available"):
        fetch(published(site))


def test_processes_of_one_training_wait_for_the_one_that_fetches(site, cache, capsys):
    with exclusive(cache / NAME, "is fetching it"):
        waiting = threading.Thread(target=fetch, args=(published(site),))
        waiting.start()
        waiting.join(0.1)
        assert waiting.is_alive() and not site.requests
        (cache / NAME).write_bytes(WEIGHTS)
    waiting.join(10)
    assert not waiting.is_alive() and not site.requests
    line = f"{cache / NAME}: another process is fetching it; waiting for it to end\n"
    assert capsys.readouterr().err == line  # said once
