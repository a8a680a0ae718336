"""Writing and telling files."""

import hashlib

import pytest

from gpemsr.errors import InputError
from gpemsr.files import BLOCK, replaced, sha256


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replaced(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match=r"absent/table\.csv: cannot be written"), replaced(
        tmp_path / "absent" / "table.csv"
    ) as temporary:  # fmt: skip
        temporary.write_text("")


def test_sha256_is_hashlibs_and_tells_its_progress(tmp_path):
    content = b"grey" * (BLOCK // 2)
    (tmp_path / "stack.raw").write_bytes(content)
    counts = []
    assert sha256(tmp_path / "stack.raw", counts.append) == hashlib.sha256(content).hexdigest()
    assert counts == [BLOCK, BLOCK]
