"""Volumes in MRC files, as IMOD, SerialEM and tomography write them."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np

from gpemsr.data.volumes.array import ArrayVolume, raw_array
from gpemsr.data.volumes.axes import named_axes
from gpemsr.data.volumes.formats import VolumeFormat
from gpemsr.data.volumes.volume import Opening
from gpemsr.data.volumes.voxel_size import VoxelSize, complete, nanometres
from gpemsr.errors import InputError

_IMOD_STAMP = 1146047817


class MrcVolume(ArrayVolume):
    """An MRC file; its header has the order of the axes and the cell, from which the voxel size follows."""

    def __init__(self, path: Path, opening: Opening):
        import mrcfile

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # headers that are not quite as the format wants are common
            with mrcfile.open(path, permissive=True, header_only=True) as file:
                header = file.header
        if header is None:
            raise InputError(f"{path}: truncated or not MRC")
        dtype = mrcfile.utils.data_dtype_from_header(header)
        if dtype == np.int8 and not _is_signed(path, header.mode.dtype.byteorder):
            dtype = np.dtype(np.uint8)
        shape = mrcfile.utils.data_shape_from_header(header)
        order = [int(header[name]) for name in ("maps", "mapr", "mapc")]
        names = ["xyz"[place - 1] for place in order] if sorted(order) == [1, 2, 3] else ["z", "y", "x"]
        axes = named_axes((["t"] if len(shape) == 4 else []) + names[-len(shape) :], shape, opening, path)
        offset = header.nbytes + int(header.nsymbt)
        read = raw_array(path, dtype, shape, offset)
        super().__init__(read, shape, None, axes, path, opening, dtype, voxel_size=lambda: _voxel_size(header))


def _is_signed(path: Path, byteorder: str) -> bool:
    """Whether bytes have a sign; IMOD says so in its part of the header, where older versions of it have none."""
    with path.open("rb") as file:
        stamp, flags = struct.unpack((">" if byteorder == ">" else "<") + "ii", file.read(160)[152:])
    return stamp != _IMOD_STAMP or bool(flags & 1)


def _voxel_size(header: np.recarray) -> VoxelSize | None:
    sizes = [(float(str(header.cella[name])), int(header[f"m{name}"])) for name in "zyx"]
    if int(header.ispg) == 0 and int(header.mz) == 1 < int(header.nz):  # an image stack, whose cell is one image
        return None
    return complete([nanometres(length / count, "angstrom") if count > 0 else None for length, count in sizes])


FORMAT = VolumeFormat((".mrc", ".mrcs", ".rec", ".ali", ".st", ".map"), MrcVolume)
