"""A volume in a chunked array, such as an HDF5 data set or a Zarr array, read in slabs of whole chunks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from gpemsr.data.volumes.axes import Axes
from gpemsr.data.volumes.volume import Opening, Volume
from gpemsr.errors import InputError

SLAB_BYTES = 256 * 2**20  # the most that is kept of sections that share chunks


class ArrayVolume(Volume):
    """An array of whatever axes; sections that share chunks are read together and kept until passed.

    Args:
        read: an index of slices and integers, one for each axis of the array -> what it takes.
        axes: where z, y and x are among its axes.
    """

    def __init__(
        self,
        read: Callable[[tuple[slice | int, ...]], np.ndarray],
        shape: Sequence[int],
        chunks: Sequence[int] | None,
        axes: Axes,
        source: Path | str,
        opening: Opening,
        dtype: np.dtype,
        **volume,
    ):
        super().__init__(source, opening, axes.shape(shape), dtype, **volume)
        self._array, self._axes = read, axes
        self._depth = chunks[axes.z] if chunks and axes.z is not None else 1
        self._slab: tuple[tuple, np.ndarray] | None = None

    def _read(self, index: int, y: slice, x: slice) -> np.ndarray:
        area = max(1, (y.stop - y.start) * (x.stop - x.start))
        depth = max(1, min(self._depth, SLAB_BYTES // (area * self.dtype.itemsize)))
        start = index - index % depth
        key = (start, y.start, y.stop, x.start, x.stop)
        if self._slab is None or self._slab[0] != key:
            self._slab = None
            z = slice(start, min(start + depth, self.shape[0]))
            part = self._axes.ordered(np.asarray(self._array(self._axes.index(z, y, x))))
            self._slab = (key, np.asarray(part, self.dtype))
        return self._slab[1][index - start].copy()


def choose(source: Path | str, found: Sequence[str], default: str) -> str:
    """The only array, or the default one. Raises :class:`InputError` if unclear."""
    if default in found:
        return default
    if len(found) == 1:
        return found[0]
    raise InputError(f"{source}: which data set? --dataset names it; {listed(found)}")


def listed(names: Sequence[str]) -> str:
    """What a file holds, for a message."""
    return f"it holds {', '.join(names[:8])}{' ...' if len(names) > 8 else ''}" if names else "it holds no volumes"


def raw_array(path: Path, dtype: np.dtype, shape: Sequence[int], offset: int) -> Callable[..., np.ndarray]:
    """What reads parts of an array that lies uncompressed in a file, ``offset`` bytes from its start.

    Raises:
        InputError: the file is too short for it.
    """
    needed = offset + math.prod(shape) * dtype.itemsize
    if path.stat().st_size < needed:
        raise InputError(f"{path}: truncated ({path.stat().st_size} bytes; expected {needed})")

    def read(index: tuple[slice | int, ...]) -> np.ndarray:  # mapped for this part only, so that pages do not add up
        return np.array(np.memmap(path, dtype, "r", offset, tuple(shape))[index])

    return read
