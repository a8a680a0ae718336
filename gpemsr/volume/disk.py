"""What a full or forbidden disk says, in one line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from gpemsr.errors import InputError
from gpemsr.files import is_full_disk


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Report what the operating system refuses in one line.

    Raises:
        InputError: with the reason.
        DiskFull: as well, if the disk is full.
    """
    try:
        yield
    except (OSError, InputError) as error:
        cause = error.__cause__ if isinstance(error, InputError) else error
        if is_full_disk(cause):
            raise DiskFull(f"{path}: the disk is full; make room, then go on with --resume") from error
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be written ({error})") from error


class DiskFull(InputError):
    """The disk is full: no other block can be written either."""
