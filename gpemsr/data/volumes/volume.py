"""What every reader of a volume offers, and the checks that they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from gpemsr.data.volumes.voxel_size import VoxelSize, check_voxel_size, warn_if_implausible
from gpemsr.errors import InputError, one_line

GREY_TYPES = ("uint8", "uint16", "int8", "int16", "float32")  # all but the first two need a range


@dataclass(frozen=True)
class Opening:
    """How a volume is to be opened."""

    dataset: str | None = None
    """Which of several volumes in a file or folder."""
    on_missing: Literal["refuse", "replace", "keep"] = "refuse"
    """Absent sections and those of one value: ``refuse``, ``replace`` by the nearest earlier one, ``keep`` as read."""
    level: int | None = None
    """Which level of a pyramid, 0 the first that its image lists; by default the finest."""
    channel: int | None = None
    """Which channel, if there are several."""
    time: int | None = None
    """Which time point, if there are several."""
    voxel_size: VoxelSize | None = None
    """(z, y, x) in nm, in place of what the source says."""
    ids: bool = False
    """Whether voxels are instance ids, of which a section may lack any."""

    @property
    def is_sparse(self) -> bool:
        """Whether parts that were never written may be read as 0."""
        return self.ids or self.on_missing == "keep"


class AbsentError(InputError):
    """A section, or a part of it, is not there; ``reason`` says why."""

    reason = ""


class Volume(ABC):
    """A stack of sections, read one by one. Also a context manager that closes the file.

    Args:
        shape: (z, y, x) in voxels.
        dtype: of the voxels; the byte order does not matter.
        voxel_size: finds (z, y, x) in nm, or None if the source does not say; not called if ``opening`` says.
        absent: numbers of sections that are known not to be there, and why.

    Attributes:
        dataset: data set or array within the source, or None.
        shape: (z, y, x) in voxels.
        dtype: in native byte order.
        voxel_size: (z, y, x) in nm, or None if the source does not say.
        translation: (z, y, x) in nm of the centre of the first voxel, 0 if the source does not say.
        numbers: source number of each section, consecutive; 0 ... z - 1 but for folders, whose file names say.
        replaced: number of a missing section, once known -> number of the section that stands in for it.
        on_missing: see :class:`Opening`.
    """

    def __init__(
        self,
        source: Path | str,
        opening: Opening,
        shape: Sequence[int],
        dtype: np.dtype,
        voxel_size: Callable[[], VoxelSize | None] = lambda: None,
        numbers: range | None = None,
        absent: Mapping[int, str] | None = None,
    ):
        if len(shape) != 3 or min(shape) < 1:
            raise InputError(f"{source}: shape {tuple(shape)}; expected (z, y, x), not empty")
        self.source, self.dataset = source, opening.dataset
        self.shape = (int(shape[0]), int(shape[1]), int(shape[2]))
        self.dtype = np.dtype(dtype).newbyteorder("=")
        self.numbers = range(self.shape[0]) if numbers is None else numbers
        self.translation = (0.0, 0.0, 0.0)
        self.voxel_size = opening.voxel_size
        if self.voxel_size is None and (found := voxel_size()) is not None:
            self.voxel_size = check_voxel_size(found, source)
            warn_if_implausible(self.voxel_size, source)
        self.replaced: dict[int, int] = {}
        self.on_missing, self._is_sparse = opening.on_missing, opening.is_sparse
        self._absent = {} if opening.on_missing == "keep" else dict(absent or {})
        if self._absent and opening.on_missing == "refuse":
            raise absent_error(source, self._absent)

    def present(self, index: int, y: slice | None = None, x: slice | None = None) -> np.ndarray:
        """Section ``index`` (0 ... z - 1), or a rectangle of it (slices with both ends): (y, x) in :attr:`dtype`.

        Raises:
            AbsentError: it, or a part of it, is not there, or it has one value only; not with ``keep``.
            InputError: it is damaged.
            IndexError: no such section.
        """
        y, x = y or slice(0, self.shape[1]), x or slice(0, self.shape[2])
        if not 0 <= index < self.shape[0]:
            raise IndexError(f"section {index} of {self.shape[0]}")
        number, whole = self.numbers[index], (y.stop - y.start, x.stop - x.start) == self.shape[1:]
        if number in self._absent:
            raise absent_error(self.source, {number: self._absent[number]})
        try:
            found = np.ascontiguousarray(self._read(index, y, x), self.dtype)
        except InputError:
            raise
        except Exception as error:  # each library and codec raises its own
            raise InputError(f"{self.source}: section {number} cannot be read ({reason(error)})") from None
        if found.shape != (y.stop - y.start, x.stop - x.start):
            raise InputError(f"{self.source}: section {number} is {found.shape}, expected {self.shape[1:]}")
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            raise InputError(f"{self.source}: section {number} has voxels that are not finite numbers")
        if whole and found.size > 1 and not self._is_sparse and found.min() == found.max():
            raise absent_error(self.source, {number: f"all {found.flat[0]}"})
        return found

    def section(self, index: int) -> np.ndarray:
        """As :meth:`present`; with ``replace``, the nearest earlier one that is there stands in."""
        return self.region(index, slice(0, self.shape[1]), slice(0, self.shape[2]))

    def region(self, index: int, y: slice, x: slice) -> np.ndarray:
        """A rectangle of section ``index``, (y, x), its slices with both ends; raises what :meth:`section` does."""
        for other in range(index, -1, -1):
            try:
                found = self.present(other, y, x)
            except AbsentError:
                if self.on_missing != "replace" or other == 0:
                    raise
                continue
            if other != index:
                self.replaced[self.numbers[index]] = self.numbers[other]
            return found
        raise IndexError(f"section {index} of {self.shape[0]}")

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """Several sections, (n, y, x); raises what :meth:`section` does."""
        sections = np.empty((len(indices), *self.shape[1:]), self.dtype)
        for section, index in zip(sections, indices, strict=True):
            section[...] = self.section(index)
        return sections

    @abstractmethod
    def _read(self, index: int, y: slice, x: slice) -> np.ndarray:
        """A rectangle of a section as the source has it; may raise anything, and AbsentError if it is not there."""

    def close(self) -> None:  # noqa: B027 (a hook: not every volume keeps a file open)
        """Close the file, if one is open."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def absent_error(source: object, absent: Mapping[int, str]) -> AbsentError:
    """The error that sections are missing."""
    numbers = sorted(absent)
    listed = ", ".join(str(number) for number in numbers[:10]) + (f" ... ({len(numbers)})" if len(numbers) > 10 else "")
    sections = f"section {listed} is" if len(numbers) == 1 else f"sections {listed} are"
    error = AbsentError(
        f"{source}: {sections} missing or blank ({absent[numbers[0]]}); --on-missing replace puts the nearest earlier "
        "section in its place, keep leaves it black"
    )
    error.reason = absent[numbers[0]]
    return error


def span_within(
    limits: tuple[int | None, int | None], first: int, end: int, what: str, source: object
) -> tuple[int, int]:
    """Start and stop, those of the whole where ``limits`` has None. Raises :class:`InputError` for others."""
    start = first if limits[0] is None else limits[0]
    stop = end if limits[1] is None else limits[1]
    if not first <= start < stop <= end:
        raise InputError(f"{source}: {what} {start}:{stop} is not within {first}:{end}")
    return start, stop


def reason(error: Exception) -> str:
    """What a library says went wrong, short and in one line."""
    text = one_line(error)
    return text if len(text) <= 160 else f"{text[:160]} ..."


def check_dtype(dtype: np.dtype, source: object, allowed: Sequence[str] = ("uint8", "uint16")) -> None:
    """Raise :class:`InputError` unless ``dtype`` is one of those allowed."""
    if np.dtype(dtype).name not in allowed:
        raise InputError(
            f"{source}: {np.dtype(dtype).name} voxels; expected {', '.join(allowed[:-1])} or {allowed[-1]}"
        )
