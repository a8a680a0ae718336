"""Writing a stack section by section as HDF5, laid out as CREMI's files."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from gpemsr.data.volumes.voxel_size import check_voxel_size
from gpemsr.files import replaced, write_errors

CHUNK = (1, 512, 512)


class Hdf5Writer:
    """Streams sections to ``volumes/raw``, with ``resolution`` and ``offset`` (z, y, x) in nm.

    A context manager: the file has its name only after the block ended well with all sections written.

    Args:
        path: the file to make; an existing one is replaced when complete.
        shape: (z, y, x) of the stack.
        dtype: of its grey values.
        voxel_size: (z, y, x) in nm, or None if unknown.
        translation: (z, y, x) in nm of the centre of the first voxel.
        note: how the stack was made.

    Raises:
        InputError: the file cannot be written.
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
        attributes = {
            "resolution": None if voxel_size is None else np.array(check_voxel_size(voxel_size, path)),
            "offset": None if translation is None else np.array(translation, float),
            "note": note,
        }
        self.attributes = {name: value for name, value in attributes.items() if value is not None}
        self.written = 0
        self._dataset: Any = None  # h5py.Dataset, once entered

    def __enter__(self) -> Hdf5Writer:
        import h5py

        with contextlib.ExitStack() as stack:
            temporary = stack.enter_context(replaced(self.path))
            file = stack.enter_context(h5py.File(temporary, "w"))
            chunks = tuple(min(a, b) for a, b in zip(CHUNK, self.shape, strict=True))
            self._dataset = file.create_dataset(
                "volumes/raw", self.shape, self.dtype, chunks=chunks, compression="gzip"
            )
            self._dataset.attrs.update(self.attributes)
            stack.push(self._check_complete)
            self._stack = stack.pop_all()
        return self

    def write(self, section: np.ndarray) -> None:
        """Append the next section along z: (y, x). Raises :class:`InputError` if the disk is full."""
        with write_errors(self.path):
            self._dataset[self.written] = section
        self.written += 1

    def _check_complete(self, kind: type | None, *_: object) -> None:
        if kind is None and self.written != self.shape[0]:
            raise ValueError(f"{self.path}: {self.written} sections written of {self.shape[0]}")

    def __exit__(self, *exception) -> None:
        self._stack.__exit__(*exception)
