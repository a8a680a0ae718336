"""Words that change when what they stand for does: plain data, files, this software."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from gpemsr.files import sha256
from gpemsr.options.read import read_options, to_plain


def fingerprint(value: Any) -> str:
    """A word that changes when plain data does."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def hash_of(path: str | Path) -> str:
    """SHA-256 of a file, or of the files of a folder in the order of their names; ``absent`` if there is none.

    Of an option file it is that of the resolved options, with what its bases say.
    """
    path = Path(path)
    if not path.exists():
        return "absent"
    if path.suffix == ".yml":
        return fingerprint(to_plain(read_options(path)))
    if path.is_file():
        return sha256(path)
    return _hash_of_files(path, "*")


def hash_of_sources() -> str:
    """SHA-256 of this package's source files."""
    return _hash_of_files(Path(__file__).parents[1], "*.py")


def _hash_of_files(folder: Path, pattern: str) -> str:
    files = sorted(file for file in folder.rglob(pattern) if file.is_file() and file.name != "lock.mdb")
    return fingerprint({str(file.relative_to(folder)): sha256(file) for file in files})
