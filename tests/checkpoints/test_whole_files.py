"""Checkpoint files whose content is not what was written, or no weights."""

import zipfile

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpemsr.checkpoints.files import load_authors_file, read_checkpoint, save_checkpoint
from gpemsr.errors import InputError


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "net.pth"
    save_checkpoint(path, {"params": {"a": torch.arange(100.0), "b": torch.ones(3)}})
    return path


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_a_flipped_bit_is_found_or_changes_nothing(file, data):
    content = bytearray(file.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    flipped = file.with_name("flipped.pth")
    flipped.write_bytes(content)
    try:
        found = load_authors_file(flipped)
    except InputError:
        return
    for name, value in load_authors_file(file).items():
        assert torch.equal(found[name], value)


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_a_truncated_file_is_refused(file, data):
    cut = file.with_name("cut.pth")
    cut.write_bytes(file.read_bytes()[: data.draw(st.integers(0, file.stat().st_size - 1))])
    with pytest.raises(InputError):
        load_authors_file(cut)


def test_what_would_unpack_to_more_than_it_is_is_refused_unread(file):
    bomb = file.with_name("bomb.pth")
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/data.pkl", bytes(10**7))
    with pytest.raises(InputError, match="10000000 bytes when unpacked; expected no more than the file has"):
        read_checkpoint(bomb)


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (torch.tensor([1.0, torch.nan]), "a holds NaN or Inf; expected finite weights"),
        (torch.tensor([-torch.inf], dtype=torch.float16), "a holds NaN or Inf; expected finite weights"),
        (torch.arange(3), "a is int64; expected floating-point weights"),
        (torch.ones(2, dtype=torch.complex64), "a is complex64; expected floating-point weights"),
        (torch.ones(2).to_sparse(), "a is sparse, quantised or without values; expected a dense tensor"),
        (torch.ones(2, device="meta"), "a is sparse, quantised or without values; expected a dense tensor"),
        (torch.ones(1).expand(10**9), "a has 1000000000 values of fewer stored ones; expected each to be stored"),
    ],
)
def test_what_is_no_weight_is_refused(tmp_path, value, line):
    path = tmp_path / "net.pth"
    torch.save({"params": {"a": value}}, path)
    with pytest.raises(InputError) as refused:
        load_authors_file(path)
    assert str(refused.value) == f"{path}: {line}"


def test_counts_of_batches_are_no_weights(tmp_path):
    torch.save(torch.nn.BatchNorm1d(2).state_dict(), tmp_path / "net.pth")
    assert "num_batches_tracked" in load_authors_file(tmp_path / "net.pth")
