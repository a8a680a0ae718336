"""What every reader of a volume offers, and the checks that they share."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gpemsr.errors import InputError

_NM = {
    "angstrom": 0.1, "ångström": 0.1, "å": 0.1, "nm": 1, "nanometer": 1, "nanometre": 1, "nanometers": 1,
    "um": 1e3, "µm": 1e3, "μm": 1e3, "\\u00b5m": 1e3, "micron": 1e3, "microns": 1e3, "micrometer": 1e3,
    "micrometre": 1e3, "micrometers": 1e3, "mm": 1e6, "millimeter": 1e6, "millimetre": 1e6, "cm": 1e7,
    "centimeter": 1e7, "m": 1e9, "meter": 1e9, "metre": 1e9, "inch": 2.54e7,
}  # fmt: skip


class Volume(ABC):
    """A stack of sections, read one by one. Also a context manager that closes the file.

    Attributes:
        source: the file or folder.
        dataset: data set or array within it, or None.
        shape: (z, y, x) in voxels.
        dtype: in native byte order; ``uint8`` or ``uint16`` of grey values.
        voxel_size: (z, y, x) in nm, or None if the source does not say.
        numbers: source number of each section, consecutive; 0 ... z - 1 but for folders, whose file names say.
        replaced: missing section number -> number of the section that stands in for it.
    """

    def __init__(
        self,
        source: Path,
        shape: tuple[int, ...],
        dtype: np.dtype,
        voxel_size: tuple[float, ...] | None,
        dataset: str | None = None,
        numbers: range | None = None,
        replaced: dict[int, int] | None = None,
    ):
        if len(shape) != 3 or min(shape) < 1:
            raise InputError(f"{source}: shape {tuple(shape)}; expected (z, y, x), not empty")
        self.source = source
        self.dataset = dataset
        self.shape = (int(shape[0]), int(shape[1]), int(shape[2]))
        self.dtype = np.dtype(dtype)
        self.voxel_size = None if voxel_size is None else check_voxel_size(voxel_size, source)
        self.numbers = range(self.shape[0]) if numbers is None else numbers
        self.replaced = replaced or {}

    def section(self, index: int) -> np.ndarray:
        """Section ``index`` (0 ... z - 1): (y, x) in :attr:`dtype`.

        Raises:
            InputError: a section that is damaged or of another size.
            IndexError: no such section.
        """
        if not 0 <= index < self.shape[0]:
            raise IndexError(f"section {index} of {self.shape[0]}")
        section = self._read(index)
        if section.shape != self.shape[1:]:
            raise InputError(f"{self.source}: section {index} is {section.shape}, the first one {self.shape[1:]}")
        return np.ascontiguousarray(section, self.dtype)

    def region(self, index: int, y: slice, x: slice) -> np.ndarray:
        """A rectangle of section ``index``, (y, x), its slices with both ends; raises what :meth:`section` does."""
        return self.section(index)[y, x]

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """Several sections, (n, y, x); raises what :meth:`section` does."""
        sections = np.empty((len(indices), *self.shape[1:]), self.dtype)
        for section, index in zip(sections, indices, strict=True):
            section[...] = self.section(index)
        return sections

    @abstractmethod
    def _read(self, index: int) -> np.ndarray:
        """Read what :meth:`section` has checked."""

    def close(self) -> None:  # noqa: B027 (a hook: not every volume keeps a file open)
        """Close the file, if one is open."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def check_dtype(dtype: np.dtype, source: object) -> None:
    """Raise :class:`InputError` unless ``dtype`` is uint8 or uint16."""
    if np.dtype(dtype).newbyteorder("=") not in (np.uint8, np.uint16):
        raise InputError(f"{source}: {np.dtype(dtype).name} voxels; expected uint8 or uint16 (0-255 or 0-65535)")


def check_voxel_size(voxel_size, source: object) -> tuple[float, float, float]:
    """``voxel_size`` as three floats; raises :class:`InputError` unless they are finite and positive."""
    sizes = tuple(float(size) for size in voxel_size)
    if len(sizes) != 3 or not all(math.isfinite(size) and size > 0 for size in sizes):
        raise InputError(f"{source}: voxel size {sizes}; expected three positive lengths z, y, x in nm")
    return sizes[0], sizes[1], sizes[2]


def nanometres(value: float | str | None, unit: str | None) -> float | None:
    """A length in nm; None if the value or its unit is absent, unknown or not positive."""
    try:
        length = float(value or 0) * _NM[str(unit).strip().lower()]
    except (KeyError, TypeError, ValueError):
        return None
    return float(f"{length:.9g}") if math.isfinite(length) and length > 0 else None


def complete(sizes: list[float | None]) -> tuple[float, float, float] | None:
    """(z, y, x) if all three lengths are known, else None."""
    z, y, x = sizes
    return None if z is None or y is None or x is None else (z, y, x)
