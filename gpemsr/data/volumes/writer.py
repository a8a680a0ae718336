"""Writing a stack section by section, among others as a TIFF that ImageJ, Fiji and napari open with its voxel size."""

from __future__ import annotations

import contextlib
import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Self

import numpy as np
import tifffile

from gpemsr.data.volumes.volume import GREY_TYPES, check_dtype, check_voxel_size
from gpemsr.errors import InputError
from gpemsr.files import replaced, write_errors

BIGTIFF_BYTES = 2**32 - 2**25  # classic TIFF ends at 4 GB, less what page headers take
_PAGE_BYTES = 512


class StackWriter(ABC):
    """Streams sections to a file of one format.

    A context manager: the file has its name only after the block ended well with all sections written; an
    exception leaves nothing. Memory is one section.

    Args:
        path: the file to make; an existing one is replaced when complete.
        shape: (z, y, x) of the stack.
        dtype: one of ``GREY_TYPES``.
        voxel_size: (z, y, x) in nm, or None if unknown (the file then says nothing).
        translation: (z, y, x) in nm of the centre of the first voxel, where the format has a place for it.

    Raises:
        InputError: a wrong shape, dtype or voxel size, or a file that cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        shape: tuple[int, int, int],
        dtype: np.dtype | type | str,
        voxel_size: tuple[float, float, float] | None = None,
        *,
        translation: tuple[float, float, float] | None = None,
        note: str | None = None,
    ):
        self.path, self.shape, self.dtype = Path(path), tuple(shape), np.dtype(dtype)
        check_dtype(self.dtype, self.path, GREY_TYPES)
        if len(shape) != 3 or min(shape) < 1:
            raise InputError(f"{self.path}: shape {self.shape}; expected (z, y, x), not empty")
        self.voxel_size = None if voxel_size is None else check_voxel_size(voxel_size, self.path)
        self.translation, self.note = translation, note
        self.written = 0

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            temporary = stack.enter_context(replaced(self.path))
            self.path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(self._open(temporary))
            stack.push(self._check_complete)
            self._stack = stack.pop_all()
        return self

    def write(self, section: np.ndarray) -> None:
        """Append the next section along z: (y, x) in the stack's dtype.

        Raises:
            InputError: the disk is full.
            ValueError: a section that does not belong to this stack, or one too many.
        """
        if section.shape != self.shape[1:] or section.dtype != self.dtype or self.written == self.shape[0]:
            raise ValueError(
                f"{self.path}: section {self.written} {section.shape} {section.dtype} "
                f"does not belong to a stack {self.shape} {self.dtype}"
            )
        with write_errors(self.path):
            self._write(section)
        self.written += 1

    @abstractmethod
    def _open(self, temporary: Path) -> contextlib.AbstractContextManager:
        """The open file."""

    @abstractmethod
    def _write(self, section: np.ndarray) -> None:
        """Append a section that belongs to the stack."""

    def _check_complete(self, kind: type | None, *_: object) -> None:
        if kind is None and self.written != self.shape[0]:
            raise ValueError(f"{self.path}: {self.written} sections written of {self.shape[0]}")

    def __exit__(self, *exception) -> None:
        self._stack.__exit__(*exception)


class TiffStackWriter(StackWriter):
    """TIFF with ImageJ metadata, or OME's for a name that ends with ``.ome.tif``; BigTIFF where 4 GB do not suffice.

    ``translation`` is ignored, since ImageJ and OME place stacks in other ways.
    """

    def _open(self, temporary: Path) -> tifffile.TiffWriter:
        size = math.prod(self.shape) * self.dtype.itemsize + self.shape[0] * _PAGE_BYTES
        self._writer = tifffile.TiffWriter(temporary, bigtiff=size > BIGTIFF_BYTES)
        return self._writer

    def _write(self, section: np.ndarray) -> None:
        resolution: dict[str, Any] = {}
        if self.voxel_size is not None:
            resolution = {"resolution": (1 / self.voxel_size[2], 1 / self.voxel_size[1]), "resolutionunit": "NONE"}
        is_ome = self.path.stem.lower().endswith(".ome")
        self._writer.write(
            section,
            photometric="minisblack",
            description=(self._ome() if is_ome else self._description()) if self.written == 0 else None,
            metadata=None,
            contiguous=False,
            **resolution,
        )

    def _ome(self) -> bytes:
        """OME-XML of a stack."""
        depth, height, width = self.shape
        metadata: dict[str, Any] = {"axes": "ZYX", "Name": self.path.name, "Description": self.note or ""}
        for axis, size in zip("ZYX", self.voxel_size or (), strict=False):
            metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "nm"}
        document = tifffile.OmeXml()
        document.addimage(self.dtype, self.shape, (depth, 1, 1, height, width, 1), **metadata)
        return document.tostring(declaration=True).encode()

    def _description(self) -> str:
        """ImageJ's description of a stack; the number of pixels per nm is in the resolution tags."""
        lines = ["ImageJ=1.53t", f"images={self.shape[0]}", f"slices={self.shape[0]}", "loop=false"]
        if self.voxel_size is not None:
            lines += ["unit=nm", f"spacing={self.voxel_size[0]!r}"]
        if self.note:
            lines.append(f"note={self.note}")
        return "\n".join(lines) + "\n"
