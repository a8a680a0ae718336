"""Images and series as microscopes' own programs write them: Gatan's DM3 and DM4, TIA's SER."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gpemsr.data.volumes.array import ArrayVolume, raw_array
from gpemsr.data.volumes.axes import named_axes
from gpemsr.data.volumes.formats import VolumeFormat
from gpemsr.data.volumes.volume import Opening, Volume
from gpemsr.data.volumes.voxel_size import complete, nanometres
from gpemsr.errors import InputError


class GatanVolume(ArrayVolume):
    """The first image of a DM3 or DM4 file that is no thumbnail: a section or a stack of them."""

    def __init__(self, path: Path, opening: Opening):
        from ncempy.io.dm import fileDM

        with fileDM(path, on_memory=False) as file:
            image = 0 if file.numObjects == 1 else 1
            if file.numObjects == 0:
                raise InputError(f"{path}: holds no image")
            sizes = [int(size[image]) for size in (file.zSize2, file.zSize, file.ySize, file.xSize)]
            dtype, offset = np.dtype(file._DM2NPDataType(file.dataType[image])), int(file.dataOffset[image])
            first, count = sum(file.dataShape[:image]), file.dataShape[image]
            lengths = [
                nanometres(size, unit) for size, unit in zip(file.scale[first:], file.scaleUnit[first:], strict=False)
            ][:count]
        axes = named_axes("tzyx", sizes, opening, path)
        read = raw_array(path, dtype, sizes, offset)
        size = (lambda: complete(lengths[2::-1])) if len(lengths) >= 3 else (lambda: None)
        super().__init__(read, sizes, None, axes, path, opening, dtype, voxel_size=size)


class SerVolume(Volume):
    """The images of a SER series, one section each; z has no size."""

    def __init__(self, path: Path, opening: Opening):
        from ncempy.io.ser import fileSER

        self._file = fileSER(path)
        types = {code: name.strip() for code, name in self._file._dictDataType.items()}  # " <u1" is none for NumPy
        self._file._dictDataType = types
        count = int(self._file.head["ValidNumberElements"])
        if count < 1 or self._file.head["DataTypeID"] != 0x4122:
            raise InputError(f"{path}: holds no images")
        first, _ = self._file.getDataset(0)
        super().__init__(path, opening, (count, *first.shape), first.dtype)

    def _read(self, index: int, y: slice, x: slice) -> np.ndarray:
        return self._file.getDataset(index)[0][y, x]

    def close(self) -> None:
        """Close the file."""
        self._file.__exit__(None, None, None)


def _open(path: Path, opening: Opening) -> Volume:
    return (SerVolume if path.suffix.lower() == ".ser" else GatanVolume)(path, opening)


FORMAT = VolumeFormat((".dm3", ".dm4", ".ser"), _open)
