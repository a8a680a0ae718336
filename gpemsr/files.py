"""Writing files and folders whole, hashing files, and reading records."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gpemsr.errors import InputError

BLOCK = 1 << 20  # bytes read at once
REFUSED = (errno.EAGAIN, errno.EACCES, errno.ENOENT)  # another process holds the lock, or has just removed it
_held: set[Path] = set()  # lock files of this process


class Busy(InputError):
    """Another process has what this one needs for itself."""


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A name to write a file or a folder under, which becomes ``path`` if the block ends well.

    Until then ``path`` is as it was (while one folder replaces another, it is absent for an instant). An exception
    removes what the block wrote; what a killed process of this machine left is removed by the next one that writes
    the same ``path``.

    Raises:
        InputError: it cannot be written (full disk, no permission).
    """
    temporary = temporary_name(path)
    try:
        with write_errors(path):
            remove_leftovers(path)
            yield temporary
            publish(temporary, path)
    finally:
        remove(temporary)


@contextlib.contextmanager
def exclusive(path: Path, doing: str = "is writing it") -> Iterator[None]:
    """Keep other processes that do the same from ``path`` while the block runs.

    The lock is the operating system's, so that of a process that was killed is free. Beside ``path`` a file says who
    holds it.

    Raises:
        Busy: another process has it.
        InputError: the folder cannot be written, or its file system has no locks.
    """
    lock = path.with_name(f".{path.name}.lock").absolute()
    refused = f"{path}: another process {doing}{{}}; start again when that has ended"
    if lock in _held:  # and opening it would free it
        raise Busy(refused.format(""))
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT)
    try:
        try:  # lockf, as processes that are forked from this one would keep a lock of flock
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_free = os.path.samestat(lock.stat(), os.fstat(descriptor))
        except OSError as error:
            if error.errno not in REFUSED:
                raise InputError(f"{path}: cannot be locked ({error}); a file system with locks is expected") from error
            is_free = False
        if not is_free:
            holder = os.pread(descriptor, 1000, 0).decode(errors="replace").strip()
            raise Busy(refused.format(holder and f" ({holder})"))
        _held.add(lock)
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        try:
            yield
        finally:
            _held.discard(lock)
            remove(lock)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def write_errors(path: Path, *kinds: type[Exception]) -> Iterator[None]:
    """Report what the operating system refuses (full disk, no permission), and errors of ``kinds``, in one line.

    Raises:
        InputError: with ``path`` and the reason.
    """
    errors: tuple[type[Exception], ...] = (OSError, *kinds)
    try:
        yield
    except errors as error:
        first = error.__context__ if isinstance(error.__context__, OSError) else error  # torch's gives no reason
        raise InputError(f"{path}: cannot be written ({first})") from error


def is_full_disk(error: BaseException | None) -> bool:
    """Whether the operating system says that the disk, or the user's share of it, is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def temporary_name(path: Path) -> Path:
    """The hidden name, in the same folder and with the same suffix, under which this process writes ``path``."""
    return path.with_name(f"{_temporary_prefix(path)}{os.getpid()}{path.suffix}")


def publish(temporary: Path, path: Path) -> None:
    """Bring a file or folder to disk and rename it to ``path``; what had this name before is replaced.

    Raises:
        OSError: it could not be done; ``path`` is as it was.
    """
    is_folder = temporary.is_dir()
    for written in [*temporary.rglob("*"), temporary] if is_folder else [temporary]:
        sync(written)
    if is_folder and path.exists():  # folders cannot replace each other in one step
        old = temporary.with_name(f"{temporary.name}-old")
        path.rename(old)
        try:
            temporary.rename(path)
        except BaseException:
            old.rename(path)
            raise
        remove(old)
    else:
        temporary.replace(path)
    sync(path.parent)


def remove_leftovers(path: Path) -> None:
    """Remove what processes of this machine that are gone left when they were killed while writing ``path``."""
    pattern = re.compile(rf"{re.escape(_temporary_prefix(path))}(\d+){re.escape(path.suffix)}")
    for entry in path.parent.iterdir() if path.parent.is_dir() else []:
        match = pattern.fullmatch(entry.name)
        if match and (int(match[1]) == os.getpid() or not _is_alive(int(match[1]))):
            remove(entry)


def remove_all_leftovers(folder: Path) -> None:
    """Remove what processes of this machine that are gone left in a folder and those in it, whatever they wrote."""
    pattern = re.compile(rf"\..+\.tmp-{re.escape(socket.gethostname())}-(\d+)(-old)?(\.\w+)?")
    for entry in sorted(folder.rglob(".*.tmp-*")):
        match = pattern.fullmatch(entry.name)
        if match and not _is_alive(int(match[1])):
            remove(entry)


def remove(path: Path) -> None:
    """Remove a file or a folder with all in it, if it exists and can be removed."""
    with contextlib.suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _temporary_prefix(path: Path) -> str:
    return f".{path.stem}.tmp-{socket.gethostname()}-"


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        if not path.is_dir():  # some network file systems cannot do it for folders
            raise
    finally:
        os.close(descriptor)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def sha256(path: Path, progress: Callable[[int], object] = lambda count: None) -> str:
    """SHA-256 of a file, in hexadecimal; ``progress`` is called with the bytes in each block that was read."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            progress(len(block))
    return digest.hexdigest()


def read_record(file: Path) -> dict[str, Any]:
    """A JSON object; an empty one where it is absent or damaged, so that the work is done again."""
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
