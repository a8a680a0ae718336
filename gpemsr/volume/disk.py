"""What a full or forbidden disk says, in one line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from gpemsr.errors import InputError
from gpemsr.files import is_full_disk, write_errors


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """As :func:`~gpemsr.files.write_errors`, which raises :class:`DiskFull` if the disk is full."""
    try:
        with write_errors(path):
            yield
    except InputError as error:
        if is_full_disk(error.__cause__):
            raise DiskFull(f"{path}: the disk is full; make room, then go on with --resume") from error
        raise


class DiskFull(InputError):
    """The disk is full: no other block can be written either."""
