"""Writing a stack section by section as HDF5, laid out as CREMI's files."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from gpemsr.data.volumes.writer import StackWriter

CHUNK = (1, 512, 512)


class Hdf5Writer(StackWriter):
    """The data set ``volumes/raw``, with ``resolution`` and ``offset`` (z, y, x) in nm."""

    def _open(self, temporary: Path) -> h5py.File:
        file = h5py.File(temporary, "w")
        chunks = tuple(min(a, b) for a, b in zip(CHUNK, self.shape, strict=True))
        self._dataset = file.create_dataset("volumes/raw", self.shape, self.dtype, chunks=chunks, compression="gzip")
        attributes = {"resolution": self.voxel_size, "offset": self.translation, "note": self.note}
        for name, value in attributes.items():
            if value is not None:
                self._dataset.attrs[name] = value if isinstance(value, str) else np.array(value, float)
        return file

    def _write(self, section: np.ndarray) -> None:
        self._dataset[self.written] = section
