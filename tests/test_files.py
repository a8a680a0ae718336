"""Writing files and folders whole; hashing files."""

import contextlib
import errno
import fcntl
import hashlib
import os
import signal
import stat
from pathlib import Path

import pytest

from gpemsr.errors import InputError
from gpemsr.files import BLOCK, Busy, exclusive, replaced, sha256

FULL = OSError(errno.ENOSPC, "No space left on device")


def write(path: Path, content: str, is_folder: bool) -> None:
    if is_folder:
        (path / "deeper").mkdir(parents=True)
        path /= "deeper/file"
    path.write_text(content)


def read(path: Path) -> str:
    return (path / "deeper/file" if path.is_dir() else path).read_text()


@pytest.fixture(params=[False, True], ids=["file", "folder"])
def is_folder(request) -> bool:
    return request.param


@pytest.fixture(params=[False, True], ids=["new", "existing"])
def path(request, tmp_path, is_folder) -> Path:
    """The name of a file or folder, absent or with the content "old"."""
    path = tmp_path / "table.v1.csv"
    if request.param:
        write(path, "old", is_folder)
    return path


@pytest.fixture
def is_unharmed(path):
    """Return a function that says whether ``path`` is as it was, alone in its folder."""
    before = list(path.parent.iterdir())

    def check() -> bool:
        return list(path.parent.iterdir()) == before and (not before or read(path) == "old")

    return check


def test_what_is_written_replaces_what_was_there(path, is_folder):
    with replaced(path) as temporary:
        write(temporary, "new", is_folder)
        assert temporary.suffix == ".csv"  # many libraries choose the format by it
    assert read(path) == "new"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_an_exception_leaves_what_was_there(path, is_folder, is_unharmed, error):
    with pytest.raises(error), replaced(path) as temporary:
        write(temporary, "half", is_folder)
        raise error
    assert is_unharmed()


def test_a_full_disk_is_one_line_and_leaves_what_was_there(path, is_folder, is_unharmed):
    with pytest.raises(InputError, match=r"table\.v1\.csv: cannot be written .*No space"), replaced(path) as temporary:
        write(temporary, "half", is_folder)
        raise FULL
    assert is_unharmed()


@pytest.mark.parametrize("failing", [1, 2])
def test_a_rename_that_fails_leaves_what_was_there(path, is_folder, is_unharmed, monkeypatch, failing):
    """A folder takes two renames to replace another one: if the second fails, the first is undone."""
    needed = 2 if is_folder and path.exists() else 1
    calls = 0

    def fail_once(original):
        def rename(*arguments):
            nonlocal calls
            calls += 1
            if calls == failing:
                raise FULL
            original(*arguments)

        return rename

    monkeypatch.setattr(os, "rename", fail_once(os.rename))
    monkeypatch.setattr(os, "replace", fail_once(os.replace))
    with pytest.raises(InputError) if failing <= needed else contextlib.nullcontext(), replaced(path) as temporary:
        write(temporary, "new", is_folder)
    assert is_unharmed() if failing <= needed else read(path) == "new"


def test_a_file_that_cannot_be_brought_to_disk_leaves_what_was_there(path, is_folder, is_unharmed, monkeypatch):
    def fail(descriptor):
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FULL

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(InputError, match="No space"), replaced(path) as temporary:
        write(temporary, "new", is_folder)
    assert is_unharmed()


def test_a_folder_that_cannot_be_synced_is_no_error(path, is_folder, monkeypatch):
    sync = os.fsync

    def only_files(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", only_files)
    with replaced(path) as temporary:
        write(temporary, "new", is_folder)
    assert read(path) == "new"


def test_all_is_on_disk_before_it_has_its_name(path, is_folder, monkeypatch):
    synced, sync = [], os.fsync

    def note(descriptor):
        synced.append((Path(f"/proc/self/fd/{descriptor}").resolve(), is_published()))
        sync(descriptor)

    def is_published() -> bool:
        return path.exists() and read(path) == "new"

    monkeypatch.setattr(os, "fsync", note)
    with replaced(path) as temporary:
        write(temporary, "new", is_folder)
        written = {temporary, *temporary.rglob("*")} if is_folder else {temporary}
    assert {file for file, published in synced if not published} == written
    assert [file for file, published in synced if published] == [path.parent]


def test_what_a_killed_process_left_is_removed_by_the_next(path, is_folder):
    child = os.fork()
    if child == 0:
        with replaced(path) as temporary:
            write(temporary, "half", is_folder)
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    (left,) = set(path.parent.iterdir()) - {path}
    of_a_living_one = left.with_name(left.name.replace(str(child), str(os.getppid())))
    of_another = left.with_name(f".other{left.name}")
    for other in (of_a_living_one, of_another):
        write(other, "half", is_folder)
    with replaced(path) as temporary:
        write(temporary, "new", is_folder)
    assert set(path.parent.iterdir()) == {path, of_a_living_one, of_another}


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match=r"absent/table\.csv: cannot be written"), replaced(
        tmp_path / "absent" / "table.csv"
    ) as temporary:  # fmt: skip
        temporary.write_text("")


@pytest.mark.parametrize(
    ("number", "kind", "says"),
    [
        (errno.EAGAIN, Busy, "another process is writing it"),
        (errno.EACCES, Busy, "another process is writing it"),
        (errno.ENOLCK, InputError, r"cannot be locked \(.*No locks available\); a file system with locks is expected"),
    ],
)
def test_a_lock_that_another_holds_differs_from_one_that_cannot_be_had(tmp_path, monkeypatch, number, kind, says):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "lockf", fail)
    with pytest.raises(InputError, match=rf"table\.csv: {says}") as caught, exclusive(tmp_path / "table.csv"):
        pass
    assert caught.type is kind


def test_sha256_is_hashlibs_and_reports_its_progress(tmp_path):
    content = b"grey" * (BLOCK // 2)
    (tmp_path / "stack.raw").write_bytes(content)
    counts = []
    assert sha256(tmp_path / "stack.raw", counts.append) == hashlib.sha256(content).hexdigest()
    assert counts == [BLOCK, BLOCK]
