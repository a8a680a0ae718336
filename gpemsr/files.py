"""Writing whole files, reading records, and telling one file from another."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gpemsr.errors import InputError

BLOCK = 1 << 20  # bytes read at once


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A name to write under, which becomes ``path`` if the block ends well: ``path`` never holds a part of a file.

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


def sha256(path: Path, progress: Callable[[int], object] = lambda count: None) -> str:
    """SHA-256 of a file, in hexadecimal; ``progress`` is told how many bytes each block that was read has."""
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
