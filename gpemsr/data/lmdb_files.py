"""What an LMDB of sections consists of, for those who write and those who read it.

Values are PNG, keys ``<volume>/<section:08d>`` or, for sections larger than the tile,
``<volume>/<section:08d>/<row:04d>_<column:04d>``. ``meta_info.txt`` has BasicSR's lines and ``volume.json`` the
provenance.
"""

from __future__ import annotations

import json
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import cv2
import lmdb
import numpy as np

from gpemsr.errors import InputError


def section_key(volume: str, section: int) -> str:
    """Name of a section in items, logs and LMDBs: ``<volume>/<section:08d>``."""
    return f"{volume}/{section:08d}"


def stored_images(
    volume: str,
    section: int,
    shape: tuple[int, int],
    tile: int | None,
    region: tuple[int, int, int, int] | None = None,
) -> Iterator[tuple[str, slice, slice]]:
    """The images that hold a section, or a region of it, in the order of their keys.

    Args:
        shape: (y, x) of the whole section.
        tile: sections with a longer side are stored as tiles of this size; None: never.
        region: (y, x, height, width); None for all.

    Yields:
        Key, rows and columns of an image.
    """
    key = section_key(volume, section)
    if tile is None or max(shape) <= tile:
        yield key, slice(0, shape[0]), slice(0, shape[1])
        return
    y, x, height, width = region or (0, 0, *shape)
    for row in range(y // tile, (y + height - 1) // tile + 1):
        for column in range(x // tile, (x + width - 1) // tile + 1):
            rows, columns = (
                slice(i * tile, min((i + 1) * tile, size)) for i, size in zip((row, column), shape, strict=True)
            )
            yield f"{key}/{row:04d}_{column:04d}", rows, columns


def read_metadata(root: Path) -> dict:
    """Contents of ``<root>/volume.json``. Raises :class:`InputError` if it is absent or damaged."""
    path = root / "volume.json"
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{root}: no volume.json, so not an LMDB made by gpemsr-lmdb") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: damaged ({error})") from None
    if not isinstance(metadata, dict) or not isinstance(metadata.get("volumes"), dict):
        raise InputError(f"{path}: damaged (no volumes named)")
    return metadata


def decode_png(value: bytes | memoryview) -> np.ndarray | None:
    """Decode a grey PNG; None if it cannot be decoded."""
    try:
        return cv2.imdecode(np.frombuffer(value, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None


# lmdb allows one environment per path and process, and a forked worker inherits its parent's.
_environments: weakref.WeakValueDictionary = weakref.WeakValueDictionary()
_lock = threading.Lock()


def shared_environment(root: Path):
    """Open an LMDB read-only, or return the one that this process has open.

    Raises:
        InputError: absent or damaged (a truncated file would end the process with SIGBUS when read).
    """
    data = root.resolve() / "data.mdb"
    try:
        key = (str(data), data.stat().st_ino)
    except OSError:
        raise InputError(f"{root}: no data.mdb, so not an LMDB") from None
    with _lock:
        environment = _environments.get(key)
        if environment is None:
            try:
                environment = lmdb.open(str(data.parent), readonly=True, lock=False, readahead=False, meminit=False)
                pages, size = environment.info()["last_pgno"] + 1, environment.stat()["psize"]
            except lmdb.Error as error:
                raise InputError(f"{root}: damaged LMDB ({error})") from None
            if data.stat().st_size < pages * size:
                raise InputError(f"{root}: truncated LMDB ({data.stat().st_size} bytes of {pages * size})")
            _environments[key] = environment
    return environment
