"""Fingerprints of plain data, of files, and of the sources that a row of the benchmark runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gpemsr.files import sha256
from gpemsr.options.read import read_options, to_plain

PACKAGE = Path(__file__).parents[1]
ROOMS = ("archs", "checkpoints", "data", "losses", "metrics", "segmentation")
ROW = ("benchmark/cost", "benchmark/networks", "benchmark/row", "volume/section_loop")  # and these modules


def fingerprint(value: Any) -> str:
    """SHA-256 of plain data (as JSON with sorted keys)."""
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
    return _hash_of_files(path, path.rglob("*"))


def hash_of_sources() -> str:
    """SHA-256 of the sources of what a row runs: the :data:`ROOMS` and the row itself."""
    files = [file for room in ROOMS for file in (PACKAGE / room).rglob("*.py")]
    return _hash_of_files(PACKAGE, [*files, *(PACKAGE / f"{name}.py" for name in ROW)])


def _hash_of_files(folder: Path, files: Iterable[Path]) -> str:
    found = sorted(file for file in files if file.is_file() and file.name != "lock.mdb")
    return fingerprint({str(file.relative_to(folder)): sha256(file) for file in found})
