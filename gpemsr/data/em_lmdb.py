"""Writing one LMDB of sections as BasicSR makes them, and reading all of it back.

The keys of a volume ascend, so the SHA-256 over all its keys and values that ``volume.json`` records can be computed
while writing and again while reading. See :mod:`gpemsr.data.lmdb_files` for what is in the folder.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import lmdb
import numpy as np
from tqdm import tqdm

from gpemsr.data.lmdb_files import decode_png, read_metadata, section_key, shared_environment, stored_images
from gpemsr.data.section_store import open_section_store
from gpemsr.errors import InputError
from gpemsr.files import publish, remove, remove_leftovers, temporary_name, write_errors

COMPRESS_LEVEL = 0  # larger files by a half, but decoding is little more than a copy
_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")


def check_name(name: str) -> str:
    """Return ``name`` if it can be part of keys and file names (BasicSR cuts keys at a dot), else raise."""
    if not _NAME.fullmatch(name):
        raise InputError(f"name {name!r}: expected letters, digits, '_' and '-'")
    return name


class LmdbWriter:
    """Writes sections into a temporary folder next to ``path``; :meth:`publish` gives it its name.

    As a context manager it removes the temporary folder on leaving, so that an exception leaves nothing. What a
    killed process of this machine left is removed by the next writer of the same ``path``.

    Args:
        path: final folder, ``*.lmdb``.
        tile: sections with a side longer than this are stored as tiles of this size; None: never.
        metadata: goes into ``volume.json`` together with what the writer adds (see :meth:`finish_volume`).
        append: start from a copy of the LMDB that has this name, and add volumes to it.

    Raises:
        InputError: a full disk, or a folder that cannot be written.
    """

    def __init__(self, path: Path, tile: int | None, metadata: dict, append: bool = False):
        self.path = path
        self.tile = tile
        self.metadata = {**metadata, "volumes": read_metadata(path)["volumes"] if append else {}}
        self._folder = temporary_name(path)
        self._digest = hashlib.sha256()
        self._range: tuple[int, int] | None = None
        with write_errors(path, lmdb.Error):
            remove_leftovers(path)
            self._folder.mkdir(parents=True)
            if append:
                shared_environment(path).copy(str(self._folder), compact=True)
                shutil.copy(path / "meta_info.txt", self._folder)
            # every transaction is synced to disk once, at the end: the folder has no name before
            self._environment = lmdb.open(str(self._folder), map_size=2**24, sync=False, metasync=False)
            self._meta_info = open(self._folder / "meta_info.txt", "a", encoding="ascii")  # noqa: SIM115

    def put(self, volume: str, number: int, section: np.ndarray) -> None:
        """Add a section (y, x), uint8 or uint16, of the volume being written; ``number`` must ascend."""
        images = stored_images(volume, number, section.shape, self.tile)
        items = {key: section[rows, columns] for key, rows, columns in images}
        with write_errors(self.path, lmdb.Error):
            self._commit([(key.encode(), _encode_png(pixels)) for key, pixels in items.items()])
            for key, pixels in items.items():
                self._meta_info.write(_meta_line(key, pixels.shape) + "\n")
        low, high = int(section.min()), int(section.max())
        self._range = (low, high) if self._range is None else (min(low, self._range[0]), max(high, self._range[1]))

    def _commit(self, items: list[tuple[bytes, bytes]]) -> None:
        needed = sum(len(value) + 8192 for _, value in items)
        while True:
            try:
                with self._environment.begin(write=True) as transaction:
                    for key, value in items:
                        if not transaction.put(key, value, overwrite=False):
                            raise InputError(f"{self.path}: already has {key.decode()}")
                break
            except lmdb.MapFullError:
                self._environment.set_mapsize(self._environment.info()["map_size"] * 2 + needed)
        for key, value in items:
            _update_digest(self._digest, key, value)

    def finish_volume(self, volume: str, section: np.ndarray, entry: dict) -> None:
        """Record a volume whose sections are all like ``section``; ``entry`` holds the source's part.

        Adds ``height``, ``width``, ``dtype``, ``tile``, ``intensity_range`` (what maps to 0 and 1; full if not given),
        ``observed_range`` (smallest and largest value stored) and ``sha256``.
        """
        self.metadata["volumes"][volume] = {
            "intensity_range": [0, int(np.iinfo(section.dtype).max)],
            **entry,
            "height": section.shape[0],
            "width": section.shape[1],
            "dtype": str(section.dtype),
            "observed_range": [*(self._range or ())],
            "tile": self.tile if self.tile and max(section.shape) > self.tile else None,
            "sha256": self._digest.hexdigest(),
        }
        self._range, self._digest = None, hashlib.sha256()

    def close(self) -> None:
        """Complete the files under the temporary name."""
        with write_errors(self.path, lmdb.Error):
            self._environment.sync(True)
            self._environment.close()
            self._meta_info.close()
            (self._folder / "volume.json").write_text(json.dumps(self.metadata, indent=1) + "\n", encoding="utf-8")
            (self._folder / "lock.mdb").unlink(missing_ok=True)

    def publish(self, overwrite: bool) -> None:
        """Rename the closed folder to its final name; an old one is removed only if ``overwrite``."""
        refuse_existing(self.path, overwrite)
        with write_errors(self.path):
            publish(self._folder, self.path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._environment.close()
        self._meta_info.close()
        remove(self._folder)


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raise :class:`InputError` if ``path`` exists and may not be overwritten, or is no LMDB."""
    if path.exists() and not overwrite:
        raise InputError(f"{path}: exists already; --overwrite replaces it, another --name keeps it")
    if path.exists() and not (path / "data.mdb").is_file():
        raise InputError(f"{path}: exists and is not an LMDB, so it is not overwritten")


@dataclass
class Verified:
    """What reading an LMDB back found, all sound."""

    sections: int
    """How many there are."""
    blank: list[str] = field(default_factory=list)
    """Keys of those of one value, which look like lost ones."""
    replaced: list[str] = field(default_factory=list)
    """Keys of those in whose place an earlier one stands."""

    def __str__(self) -> str:
        remarks = [
            f"{len(keys)} {what} ({', '.join(keys[:10])}{' ...' if len(keys) > 10 else ''})"
            for what, keys in (("blank", self.blank), ("replaced by an earlier one", self.replaced))
            if keys
        ]
        return "; ".join([f"{self.sections} sections read back, all sound", *remarks])


def verify(path: str | Path, progress: bool = False) -> Verified:
    """Read an LMDB made by ``gpemsr-lmdb`` back: every key, PNG, size, dtype and the SHA-256 over all of it.

    Raises:
        InputError: the first thing found wrong, with its key.
    """
    path = Path(path)
    store = open_section_store(path, "lmdb")
    lines, found = _lines(path), Verified(sum(len(info.sections) for info in store.volumes.values()))
    environment = shared_environment(path)
    try:
        with (
            environment.begin(buffers=True) as transaction,
            tqdm(total=environment.stat()["entries"], unit="image", desc=path.name, disable=not progress) as bar,
        ):
            for info in store.volumes.values():
                digest, entry = hashlib.sha256(), store.metadata["volumes"][info.name]
                found.replaced += [
                    section_key(info.name, item["section"]) for item in entry.get("missing_sections", [])
                ]
                limits: dict[int, tuple[int, int]] = {}
                images = (
                    (number, *image)
                    for number in info.sections
                    for image in stored_images(info.name, number, info.shape, entry["tile"])
                )
                for number, key, rows, columns in images:
                    value = transaction.get(key.encode())
                    if value is None:
                        raise InputError(f"{path}: {key} is missing")
                    shape = (rows.stop - rows.start, columns.stop - columns.start)
                    pixels = _check_png(path, key, value, shape, info.dtype)
                    low, high = limits.get(number, (pixels.flat[0], pixels.flat[0]))
                    limits[number] = (min(low, pixels.min()), max(high, pixels.max()))
                    line = _meta_line(key, shape)
                    if next(lines, "").rpartition(" ")[0] != line.rpartition(" ")[0]:  # whatever the compression
                        raise InputError(f"{path / 'meta_info.txt'}: expected the line {line!r}")
                    _update_digest(digest, key.encode(), value)
                    bar.update()
                found.blank += [section_key(info.name, n) for n, (low, high) in limits.items() if low == high]
                if digest.hexdigest() != entry.get("sha256"):
                    raise InputError(f"{path}: the SHA-256 of volume {info.name} is not the one in volume.json")
    except lmdb.Error as error:
        raise InputError(f"{path}: damaged LMDB ({error})") from None
    if next(lines, None) is not None:
        raise InputError(f"{path / 'meta_info.txt'}: has more lines than the LMDB has images")
    return found


def _meta_line(key: str, shape: tuple[int, ...]) -> str:
    return f"{key}.png ({shape[0]},{shape[1]},1) {COMPRESS_LEVEL}"


def _lines(path: Path) -> Iterator[str]:
    try:
        return iter((path / "meta_info.txt").read_text(encoding="ascii").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path / 'meta_info.txt'}: damaged ({error})") from None


def _check_png(path: Path, key: str, value: memoryview, shape: tuple[int, int], dtype: np.dtype) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(value)) as image:
            image.verify()  # the checksums of all PNG chunks, which decoders do not insist on
    except Exception as error:  # PIL raises many kinds for damaged files
        raise InputError(f"{path}: {key} is damaged ({str(error)[:120]})") from None
    pixels = decode_png(value)
    if pixels is None or pixels.shape != shape or pixels.dtype != dtype:
        raise InputError(f"{path}: {key} is damaged, or not {shape[0]} x {shape[1]} {dtype}")
    return pixels


def _encode_png(pixels: np.ndarray) -> bytes:
    done, png = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, COMPRESS_LEVEL])
    if not done:
        raise RuntimeError(f"PNG encoding of {pixels.shape} {pixels.dtype} failed")
    return png.tobytes()


def _update_digest(digest, key, value) -> None:
    digest.update(key)
    digest.update(len(value).to_bytes(8, "little"))
    digest.update(value)
