"""The command ``gpemsr-download-cremi``, against a server on loopback."""

import hashlib
import io
import resource
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from loopback import names, served

from gpemsr.cli.download_cremi import main
from gpemsr.data.cremi import file_names, read_checksums
from gpemsr.data.download import PIECE
from gpemsr.errors import InputError
from gpemsr.files import exclusive

TOOL = Path(__file__).resolve().parents[2] / "tools" / "download_cremi.py"
NAME = "sample_A_20160501.hdf"


def hdf5_bytes(dataset: str = "volumes/raw") -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file[dataset] = np.random.default_rng(0).integers(0, 255, (4, 200, 200), np.uint8)
    return buffer.getvalue()


WHOLE = hdf5_bytes()


@pytest.fixture
def site(monkeypatch):
    with served({NAME: WHOLE}, monkeypatch) as site:
        yield site


def run(site, out, *arguments) -> int:
    return main(["A", "--out", str(out), "--url", site.url, *map(str, arguments)])


def test_a_file_is_fetched_and_its_checksum_recorded(site, tmp_path):
    assert run(site, tmp_path) == 0
    assert (tmp_path / NAME).read_bytes() == WHOLE
    assert read_checksums(tmp_path / f"{NAME}.sha256") == {NAME: hashlib.sha256(WHOLE).hexdigest()}
    assert names(tmp_path) == [NAME, f"{NAME}.sha256"]


def test_a_cut_connection_is_resumed_where_it_broke(site, tmp_path):
    site.cut_after = [50_000, 30_000]
    assert run(site, tmp_path) == 0
    assert (tmp_path / NAME).read_bytes() == WHOLE
    first, *later = site.ranges_asked
    begins = [int(wanted[6:-1]) for wanted in later]
    assert first is None and len(begins) == 2
    assert 50_000 - PIECE <= begins[0] <= 50_000  # no more than a piece is lost
    assert begins[0] + 30_000 - PIECE <= begins[1] <= begins[0] + 30_000


@pytest.mark.parametrize(
    ("left", "asked"),
    [
        (WHOLE[:12_345], ["bytes=12345-"]),
        (WHOLE, [f"bytes={len(WHOLE)}-"]),
        (WHOLE + b"more", [f"bytes={len(WHOLE) + 4}-", None]),  # not what the server has: from the start
    ],
    ids=["cut", "complete", "too long"],
)
def test_a_later_run_continues_an_earlier_one(site, tmp_path, left, asked):
    (tmp_path / f"{NAME}.part").write_bytes(left)
    assert run(site, tmp_path) == 0
    assert site.ranges_asked == asked
    assert (tmp_path / NAME).read_bytes() == WHOLE


def test_without_ranges_the_file_is_fetched_from_the_start(site, tmp_path):
    site.ranges, site.cut_after = False, [50_000]
    assert run(site, tmp_path) == 0
    assert (tmp_path / NAME).read_bytes() == WHOLE
    assert len(site.ranges_asked) == 2 and site.ranges_asked[1]


@pytest.mark.parametrize(
    ("line", "code", "says", "left"),
    [
        (f"{hashlib.sha256(WHOLE).hexdigest()} *{NAME}", 0, "", [NAME, f"{NAME}.sha256"]),
        (f"{'0' * 64}  {NAME}", 2, "SHA-256", []),
        (f"{'0' * 64}  other.hdf", 2, NAME, None),  # refused before anything is fetched
    ],
    ids=["right", "wrong", "missing"],
)
def test_a_file_must_have_the_checksum_that_is_given(site, tmp_path, capsys, line, code, says, left):
    (tmp_path / "sums").write_text(f"{line}\n")
    assert run(site, tmp_path / "out", "--sha256", tmp_path / "sums") == code
    assert says in capsys.readouterr().err
    if left is None:
        assert not site.requests
    else:
        assert names(tmp_path / "out") == left


def test_two_at_a_time_are_refused_in_one_line(site, tmp_path, capsys):
    with exclusive(tmp_path / NAME, "is fetching it"):
        assert run(site, tmp_path) == 2
    line = f"error: {tmp_path / NAME}: another process is fetching it; start again when that has ended\n"
    assert capsys.readouterr().err == line and not site.requests


def test_a_missing_file_is_one_line_and_exit_code_2(site, tmp_path, capsys):
    site.files.clear()
    assert run(site, tmp_path) == 2
    message = capsys.readouterr().err
    assert "404" in message and message.count("\n") == 1
    assert names(tmp_path) == [] and len(site.requests) == 1


def test_a_complete_file_is_not_fetched_again_and_one_that_changed_is_refused(site, tmp_path, capsys):
    assert run(site, tmp_path) == 0
    site.requests.clear()
    assert run(site, tmp_path) == 0
    (tmp_path / NAME).write_bytes(WHOLE[:-1] + b"\0" + b"x")
    assert run(site, tmp_path) == 2
    assert "delete it" in capsys.readouterr().err.splitlines()[-1]
    assert not site.requests


def test_a_file_without_a_record_is_opened_and_recorded(site, tmp_path):
    (tmp_path / NAME).write_bytes(WHOLE)
    assert run(site, tmp_path) == 0
    assert not site.requests
    assert (tmp_path / f"{NAME}.sha256").exists()


def test_a_truncated_file_without_a_record_is_refused(site, tmp_path, capsys):
    (tmp_path / NAME).write_bytes(WHOLE[:-10])
    assert run(site, tmp_path) == 2
    assert "not an HDF5 file that opens" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"<html>moved</html>", hdf5_bytes("volumes/other")])
def test_what_is_not_such_a_volume_is_refused_and_nothing_is_left(site, tmp_path, content, capsys):
    site.files[NAME] = content
    assert run(site, tmp_path) == 2
    assert "HDF5" in (message := capsys.readouterr().err.splitlines()[-1]) or "volumes/raw" in message
    assert names(tmp_path) == []


def test_a_server_in_trouble_is_tried_again(site, tmp_path):
    site.failures = [503, 500]
    assert run(site, tmp_path) == 0


def test_after_too_many_failures_what_came_is_kept(site, tmp_path, capsys):
    site.cut_after = [50_000, 0, 0, 0]
    assert run(site, tmp_path, "--retries", 2) == 2
    kept = (tmp_path / f"{NAME}.part").read_bytes()
    assert len(kept) >= 50_000 - PIECE and kept == WHOLE[: len(kept)]
    assert f"{len(kept)} bytes" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / NAME).exists()


def test_a_server_that_is_not_there_is_one_line(tmp_path, site):
    site.server.shutdown()
    site.server.server_close()
    process = subprocess.run(
        [sys.executable, TOOL, "A", "--out", tmp_path, "--url", site.url, "--retries", "0"],
        env={"PYTHONPATH": str(TOOL.parents[1])},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 2
    assert process.stderr.count("\n") == 1 and "not fetched" in process.stderr


def test_a_full_disk_is_one_line_and_keeps_the_part(site, tmp_path, capsys):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        assert run(site, tmp_path) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "cannot be written" in capsys.readouterr().err.splitlines()[-1]
    assert names(tmp_path) == [f"{NAME}.part"]
    assert (tmp_path / f"{NAME}.part").read_bytes() == WHOLE[:50_000]


def test_names_of_the_files():
    assert file_names(["train"]) == [f"sample_{s}_20160501.hdf" for s in "ABC"]
    assert file_names(["A+", "A"], padded=True) == ["sample_A+_padded_20160601.hdf", "sample_A_padded_20160501.hdf"]
    assert len(file_names(["all", "test"])) == 6
    with pytest.raises(InputError, match="sample D"):
        file_names(["D"])


def test_a_plus_in_a_name_reaches_the_server(site, tmp_path):
    site.files["sample_B+_20160601.hdf"] = WHOLE
    assert main(["B+", "--out", str(tmp_path), "--url", site.url]) == 0
    assert (tmp_path / "sample_B+_20160601.hdf").exists()


def test_a_line_that_is_no_checksum_is_refused(tmp_path):
    (tmp_path / "sums").write_text("abc  file\n")
    with pytest.raises(InputError, match="line 1"):
        read_checksums(tmp_path / "sums")
