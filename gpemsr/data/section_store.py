"""Reading sections from LMDBs made by ``gpemsr-lmdb`` and from folders ``<root>/<volume>/<z>.png``."""

from __future__ import annotations

import functools
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lmdb
import numpy as np

from gpemsr.data.grey_values import GreyRange
from gpemsr.data.lmdb_files import decode_png, read_metadata, shared_environment, stored_images
from gpemsr.data.volumes.numbered_files import common_header, numbered_images, read_image
from gpemsr.data.volumes.volume import check_dtype
from gpemsr.data.volumes.voxel_size import VoxelSize, check_voxel_size
from gpemsr.errors import InputError
from gpemsr.files import sha256


@dataclass(frozen=True)
class VolumeInfo:
    """What a store holds of one volume."""

    name: str
    """The volume's name, first part of its keys."""
    sections: tuple[int, ...]
    """Section numbers in the source, ascending; every k-th or a split leaves gaps."""
    height: int
    """Pixels of a section along y."""
    width: int
    """Pixels of a section along x."""
    dtype: np.dtype
    """``uint8`` or ``uint16``."""
    voxel_size: VoxelSize | None
    """(z, y, x) in nm of the stored pixels, or None if unknown."""
    grey_range: GreyRange
    """Which stored grey values are 0 and 1."""

    @property
    def shape(self) -> tuple[int, int]:
        """Pixels of a section along y and x."""
        return self.height, self.width


class SectionStore(ABC):
    """Sections of one or more volumes, read whole or in part. Picklable; safe in DataLoader workers.

    Attributes:
        volumes: :class:`VolumeInfo` by volume name.
        metadata: contents of ``volume.json``; empty for a folder without one.
    """

    def __init__(self, root: Path, volumes: dict[str, VolumeInfo], metadata: dict):
        self.root = root
        self.volumes = volumes
        self.metadata = metadata

    def read(
        self, volume: str, section: int, y: int = 0, x: int = 0, height: int | None = None, width: int | None = None
    ) -> np.ndarray:
        """Read a region of a section; by default all of it.

        Returns:
            (height, width) in the store's dtype.

        Raises:
            InputError: no such volume or section, a region outside it, or a damaged file.
        """
        if volume not in self.volumes:
            raise InputError(f"{self.root}: no volume {volume!r}; it holds {', '.join(self.volumes)}")
        info = self.volumes[volume]
        height = info.height - y if height is None else height
        width = info.width - x if width is None else width
        if y < 0 or x < 0 or height < 1 or width < 1 or y + height > info.height or x + width > info.width:
            raise InputError(
                f"{self.root}: region y={y}, x={x}, {height} x {width} lies outside sections of "
                f"{info.height} x {info.width}"
            )
        return self._read(info, section, y, x, height, width)

    def read_float(
        self, volume: str, section: int, y: int = 0, x: int = 0, height: int | None = None, width: int | None = None
    ) -> np.ndarray:
        """As :meth:`read`, as float32 in [0, 1] by the volume's grey range."""
        return self.volumes[volume].grey_range.to_unit(self.read(volume, section, y, x, height, width))

    def fingerprint(self) -> str:
        """SHA-256 of what :meth:`read_float` gives: of checksums that an LMDB records, or of a folder's files."""
        known = [(i.name, i.sections, i.shape, i.grey_range, self._checksums(i.name)) for i in self.volumes.values()]
        return hashlib.sha256(repr(known).encode()).hexdigest()

    @abstractmethod
    def _checksums(self, volume: str) -> list[str]:
        """Checksums of what is stored of a volume."""

    @abstractmethod
    def _read(self, info: VolumeInfo, section: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        """Read what :meth:`read` has checked."""


class LmdbSectionStore(SectionStore):
    """Backend ``lmdb``: the environment is opened at the first read and shared within the process."""

    def __init__(self, root: Path, volumes: dict[str, VolumeInfo], metadata: dict, tiles: dict[str, int | None]):
        super().__init__(root, volumes, metadata)
        self._tiles = tiles
        self._environment: Any = None  # lmdb.Environment

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_environment": None}

    def _checksums(self, volume: str) -> list[str]:
        return [self.metadata["volumes"][volume].get("sha256") or checksum(self.root / "data.mdb")]

    def _read(self, info: VolumeInfo, section: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        out = np.empty((height, width), info.dtype)
        region, tile = (y, x, height, width), self._tiles[info.name]
        for key, rows, columns in stored_images(info.name, section, info.shape, tile, region):
            pixels = self._decode(key, (rows.stop - rows.start, columns.stop - columns.start), info.dtype)
            y0, x0 = max(y, rows.start), max(x, columns.start)
            y1, x1 = min(y + height, rows.stop), min(x + width, columns.stop)
            part = pixels[y0 - rows.start : y1 - rows.start, x0 - columns.start : x1 - columns.start]
            out[y0 - y : y1 - y, x0 - x : x1 - x] = part
        return out

    def _decode(self, key: str, shape: tuple[int, int], dtype: np.dtype) -> np.ndarray:
        if self._environment is None:
            self._environment = shared_environment(self.root)
        try:
            with self._environment.begin(buffers=True) as transaction:
                value = transaction.get(key.encode())
                pixels = None if value is None else decode_png(value)
        except lmdb.Error as error:
            raise InputError(f"{self.root}: damaged LMDB at {key} ({error})") from None
        if value is None:
            raise InputError(f"{self.root}: no section {key}")
        if pixels is None or pixels.shape != shape or pixels.dtype != dtype:
            raise InputError(f"{self.root}: {key} is damaged; run gpemsr-lmdb --verify on it and make it again")
        return pixels


class DiskSectionStore(SectionStore):
    """Backend ``disk``: one image file per section, ``<root>/<volume>/<z>.png``."""

    def __init__(self, root: Path, volumes: dict[str, VolumeInfo], metadata: dict, files: dict[str, dict[int, Path]]):
        super().__init__(root, volumes, metadata)
        self._files = files

    def _checksums(self, volume: str) -> list[str]:
        return [checksum(file) for file in self._files[volume].values()]

    def _read(self, info: VolumeInfo, section: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        files = self._files[info.name]
        if section not in files:
            raise InputError(f"{self.root}: no section {info.name}/{section}")
        pixels = read_image(files[section])
        if pixels.shape != info.shape or pixels.dtype != info.dtype:
            raise InputError(f"{files[section]}: {pixels.shape} {pixels.dtype} is not like the volume's first section")
        return pixels[y : y + height, x : x + width].copy()


def checksum(file: Path) -> str:
    """SHA-256 of a file, which is read again only if it has changed."""
    state = file.stat()
    return _checksum(file.absolute(), state.st_ino, state.st_size, state.st_mtime_ns)


@functools.cache
def _checksum(file: Path, *state: int) -> str:
    return sha256(file)


def open_section_store(root: str | Path, backend: str, grey_range: Sequence[float] | None = None) -> SectionStore:
    """Open ``root`` for reading.

    Args:
        root: an LMDB folder made by ``gpemsr-lmdb`` (backend ``lmdb``), or a folder that holds one folder of
            numbered section images per volume (backend ``disk``).
        grey_range: which grey values of a folder are 0 and 1, if not those of the data type; an LMDB records them.

    Raises:
        InputError: absent, damaged, or of another kind.
    """
    root = Path(root)
    if backend not in ("lmdb", "disk"):
        raise InputError(f"io_backend {backend!r} is unknown; expected lmdb or disk")
    if not root.is_dir():
        raise InputError(f"{root}: no such folder" + (" (make it with gpemsr-lmdb)" if backend == "lmdb" else ""))
    if backend == "disk":
        return _open_disk(root, None if grey_range is None else GreyRange(*grey_range))
    if grey_range is not None:
        raise InputError(f"{root}: an LMDB records its range; expected no range in io_backend")
    return _open_lmdb(root)


def _open_lmdb(root: Path) -> LmdbSectionStore:
    metadata = read_metadata(root)
    volumes, tiles = {}, {}
    try:
        for name, entry in metadata["volumes"].items():
            dtype = np.dtype(entry["dtype"])
            voxel_size, grey_range = _recorded(entry, dtype, root)
            volumes[name] = VolumeInfo(
                name=name,
                sections=tuple(int(number) for number in entry["sections"]),
                height=int(entry["height"]),
                width=int(entry["width"]),
                dtype=dtype,
                voxel_size=voxel_size,
                grey_range=grey_range,
            )
            tiles[name] = None if entry["tile"] is None else int(entry["tile"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{root / 'volume.json'}: damaged ({type(error).__name__}: {error})") from None
    images = sum(
        len(info.sections) * sum(1 for _ in stored_images(name, 0, info.shape, tiles[name]))
        for name, info in volumes.items()
    )
    found = shared_environment(root).stat()["entries"]  # closed again, since nothing refers to it
    if found != images:
        raise InputError(f"{root}: damaged LMDB ({found} images where volume.json names {images})")
    return LmdbSectionStore(root, volumes, metadata, tiles)


def _open_disk(root: Path, grey_range: GreyRange | None) -> DiskSectionStore:
    metadata = read_metadata(root) if (root / "volume.json").is_file() else {"volumes": {}}
    volumes, files = {}, {}
    for folder in sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")):
        images = numbered_images(folder)
        height, width, dtype = common_header(images.values())
        check_dtype(dtype, folder)
        size, recorded = _recorded(metadata["volumes"].get(folder.name, {}), dtype, root)
        if grey_range is None and recorded == GreyRange.full(dtype):
            first = read_image(next(iter(images.values())))
            recorded.warn_if_unused(first.min(), first.max(), next(iter(images.values())))
        volumes[folder.name] = VolumeInfo(
            folder.name, tuple(images), height, width, dtype, size, grey_range or recorded
        )
        files[folder.name] = images
    if not volumes:
        raise InputError(f"{root}: no folders of section images; expected <root>/<volume>/<z>.png")
    return DiskSectionStore(root, volumes, metadata, files)


def _recorded(entry: dict, dtype: np.dtype, root: Path) -> tuple[VoxelSize | None, GreyRange]:
    """Voxel size and range of a volume as ``volume.json`` has them."""
    size, limits = entry.get("voxel_size"), entry.get("intensity_range")
    return (
        None if size is None else check_voxel_size(size, root),
        GreyRange.full(dtype) if limits is None else GreyRange(*limits),
    )
