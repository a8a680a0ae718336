"""Writing whole files: under a temporary name first, so that the final name never holds a part of one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from gpemsr.errors import InputError


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A name to write under, which becomes ``path`` if the block ends well.

    Raises:
        InputError: it cannot be written.
    """
    temporary = path.with_name(f".{path.stem}.tmp-{os.getpid()}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error})") from error
    finally:
        temporary.unlink(missing_ok=True)
