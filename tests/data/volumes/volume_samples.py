"""One stack in every format that is read, written by other libraries than ours where there are any."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import tensorstore
import tifffile
import zarr
from PIL import Image

NM = {"PhysicalSizeXUnit": "nm", "PhysicalSizeYUnit": "nm", "PhysicalSizeZUnit": "nm"}
KINDS = {"x": "space", "y": "space", "z": "space", "c": "channel", "t": "time"}


@dataclass(frozen=True)
class Sample:
    """A format.

    Attributes:
        label: its row in docs/data.md.
        suffix: of the file or folder.
        write: ``(path, array, axes, size)``: an array with these axes and a voxel size (z, y, x) in nm.
        axes: in which its arrays may come.
        voxel_size: where it says so; empty if it does not.
        numbers: how its sections are numbered.
        compressions: names for ``write``'s ``compression``.
    """

    label: str
    suffix: str
    write: Callable[..., object]
    axes: tuple[str, ...]
    voxel_size: str = ""
    numbers: str = "from 0"
    compressions: tuple[str | None, ...] = (None,)


def tiff(path, array, axes, size, compression=None, byteorder="<", chunk=4):
    tifffile.imwrite(path, array, photometric="minisblack", compression=compression, byteorder=byteorder)


def imagej(path, array, axes, size, **_):
    z, y, x = size
    metadata = {"axes": axes.upper(), "spacing": z, "unit": "nm"}
    tifffile.imwrite(path, array, imagej=True, resolution=(1 / x, 1 / y), metadata=metadata)


def ome_tiff(path, array, axes, size, compression=None, byteorder="<", chunk=4):
    sizes = {f"PhysicalSize{axis}": length for axis, length in zip("ZYX", size, strict=True)}
    metadata = {"axes": axes.upper(), **sizes, **NM}
    tifffile.imwrite(
        path, array, ome=True, photometric="minisblack", compression=compression, byteorder=byteorder, metadata=metadata
    )


def images(suffix):
    def write(path, array, axes, size, **_):
        path.mkdir()
        for number, section in enumerate(array):
            if suffix == "tif":
                tifffile.imwrite(path / f"s{number:03d}.tif", section, photometric="minisblack")
            else:
                Image.fromarray(section).save(path / f"s{number:03d}.{suffix}")

    return write


def hdf5(path, array, axes, size, compression=None, byteorder="<", chunk=4):
    """``checked``: with checksums of chunks and of metadata."""
    checked = compression == "checked"
    options = {"fletcher32": True} if checked else {"compression": compression}
    with h5py.File(path, "w", libver="latest" if checked else None) as file:
        chunks = tuple(min(chunk, length) for length in array.shape) if compression else None
        data = array.astype(array.dtype.newbyteorder(byteorder))
        made = file.create_dataset("volumes/raw", data=data, chunks=chunks, **options)
        made.attrs["resolution"] = size


def zarr_array(version, **options):
    def write(path, array, axes, size, compression=None, byteorder="<", chunk=4):
        chunks = tuple(min(chunk, length) for length in array.shape)
        shards = {"shards": tuple(2 * length for length in chunks)} if options else {}
        checked = {"compressors": [zarr.codecs.Crc32cCodec()]} if compression == "checked" else {}
        made = zarr.create_array(
            str(path), shape=array.shape, dtype=array.dtype, chunks=chunks, zarr_format=version, **shards, **checked
        )
        made[...] = array
        made.attrs["voxel_size"] = list(size)

    return write


def ome_zarr(version):
    def write(path, array, axes, size, chunk=4, **_):
        lengths = dict(zip("zyx", size, strict=True))
        image = {
            "axes": [{"name": a, "type": KINDS[a], **({"unit": "nanometer"} if a in "zyx" else {})} for a in axes],
            "datasets": [
                {
                    "path": "0",
                    "coordinateTransformations": [{"type": "scale", "scale": [lengths.get(a, 1) for a in axes]}],
                }
            ],
        }
        group = zarr.open_group(str(path), mode="w", zarr_format=2 if version == "0.4" else 3)
        group.create_array("0", shape=array.shape, dtype=array.dtype, chunks=tuple(min(chunk, n) for n in array.shape))
        group["0"][...] = array
        image = {"multiscales": [{"version": version, **image}]}
        group.attrs.update(image if version == "0.4" else {"ome": image})

    return write


def n5(path, array, axes, size, compression=None, chunk=4, **_):
    metadata = {
        "dimensions": array.shape[::-1],
        "blockSize": [min(chunk, length) for length in array.shape[::-1]],
        "dataType": array.dtype.name,
        "compression": {"type": compression or "raw"},
    }
    spec = {"driver": "n5", "kvstore": f"file://{path}/s0/", "metadata": metadata, "create": True}
    tensorstore.open(spec).result()[...] = array.transpose()
    attributes = Path(path, "s0", "attributes.json")
    more = f', "pixelResolution": {{"dimensions": {list(size[::-1])}, "unit": "nm"}}}}'
    attributes.write_text(attributes.read_text().rstrip().removesuffix("}") + more)


def precomputed(path, array, axes, size, chunk=4, **_):
    scale = {"size": array.shape[::-1], "resolution": size[::-1], "encoding": "raw", "voxel_offset": [3, 2, 1]}
    scale["chunk_size"] = [min(chunk, length) for length in array.shape[::-1]]
    layout = {"type": "image", "data_type": array.dtype.name, "num_channels": 1}
    spec = {"driver": "neuroglancer_precomputed", "kvstore": f"file://{path}/", "create": True}
    made = tensorstore.open({**spec, "multiscale_metadata": layout, "scale_metadata": scale}).result()
    made[...] = array.transpose()[..., None]


def mrc(path, array, axes, size, **_):
    """Axes in any order: the header says which one is which."""
    import mrcfile

    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(array)
        file.set_volume()
        header = file.header
        header.mapc, header.mapr, header.maps = ("xyz".index(axis) + 1 for axis in axes[::-1])
        for axis, length in zip("zyx", size, strict=True):
            header[f"m{axis}"] = array.shape[axes.index(axis)]
            header.cella[axis] = 10 * length * array.shape[axes.index(axis)]


class Gatan:
    """Writes DM3 or DM4, whose counts have 32 or 64 bits: one image with little-endian values."""

    TYPES = {"int16": 1, "float32": 2, "uint8": 6, "int8": 9, "uint16": 10}

    def __init__(self, version):
        self.version, self.count = version, ">I" if version == 3 else ">Q"

    def counts(self, *values):
        return b"".join(struct.pack(self.count, value) for value in values)

    def entry(self, name, content):
        size = b"" if self.version == 3 else struct.pack(">Q", len(content))
        kind = 21 if content.startswith(b"%%%%") else 20
        return struct.pack(">BH", kind, len(name)) + name.encode() + size + content

    def group(self, *entries):
        content = struct.pack(">BB", 1, 0) + self.counts(len(entries))
        return content + b"".join(self.entry(name, value) for name, value in entries)

    def number(self, code, kind, value):
        return b"%%%%" + self.counts(1, kind) + struct.pack(code, value)

    def array(self, kind, count, values):
        return b"%%%%" + self.counts(3, 20, kind, count) + values

    def __call__(self, path, array, axes, size, **_):
        unit = ("Units", self.array(4, 2, "nm".encode("utf-16-le")))
        scales = [self.group(("Scale", self.number("<f", 6, length)), unit) for length in size[::-1]]
        kind = {"int16": 2, "uint16": 4, "float32": 6, "uint8": 8, "int8": 10}[array.dtype.name]
        image = self.group(
            ("Calibrations", self.group(("Dimension", self.group(*(("", scale) for scale in scales))))),
            ("Data", self.array(kind, array.size, array.tobytes())),
            ("DataType", self.number("<i", 3, self.TYPES[array.dtype.name])),
            ("Dimensions", self.group(*(("", self.number("<i", 3, length)) for length in array.shape[::-1]))),
            ("PixelDepth", self.number("<i", 3, array.dtype.itemsize)),
        )
        tags = self.group(("ImageList", self.group(("", self.group(("ImageData", image))))))
        head = struct.pack(">I", self.version) + self.counts(len(tags)) + struct.pack(">I", 1)
        path.write_bytes(head + tags + bytes(8))


def ser(path, array, axes, size, **_):
    """A TIA series of two-dimensional images."""
    count, height, width = array.shape
    head = struct.pack("<hhhiiii", 0x4949, 0x0197, 0x0210, 0x4122, 0x4152, count, count)
    dimension = struct.pack("<iddiii", count, 0, 1, 0, 0, 0)
    start, length = len(head) + 8 + len(dimension), 50 + array[0].nbytes
    offsets = [start + 8 * count + index * length for index in range(count)]
    body = struct.pack("<ii", start, 1) + dimension
    body += np.array(offsets, "<i4").tobytes() + np.array([offsets[-1] + length] * count, "<i4").tobytes()
    kind = {"uint8": 1, "uint16": 2, "int8": 4, "int16": 5, "float32": 7}[array.dtype.name]
    for section in array:
        body += struct.pack("<ddi", 0, 4e-9, 0) * 2 + struct.pack("<hii", kind, width, height)
        body += section[::-1].tobytes()  # rows from the bottom
    path.write_bytes(head + body + bytes(64))


UNNAMED = ("zyx", "zyxc", "czyx")
OME_AXES = ("zyx", "xyz", "yxz", "czyx", "tczyx", "zcyx")
SAMPLES = {
    "tiff": Sample("TIFF, BigTIFF", ".tif", tiff, ("zyx",), compressions=(None, "zlib", "lzw", "zstd")),
    "imagej": Sample(
        "TIFF of ImageJ", ".tif", imagej, ("zyx", "tyx", "zcyx", "tzyx", "tzcyx"), "`spacing`, `unit`, `yunit`, `zunit`"
    ),
    "ome_tiff": Sample(
        "OME-TIFF, also in several files", ".ome.tif", ome_tiff, ("zyx", "czyx", "zcyx", "tzyx"),
        "`PhysicalSizeX`, `Y`, `Z`", compressions=(None, "zlib"),
    ),
    "png": Sample("folder of png, bmp, pgm, jpg", "", images("png"), ("zyx",), numbers="as in the file names"),
    "tif_folder": Sample("folder of tif", "", images("tif"), ("zyx",), numbers="as in the file names"),
    "hdf5": Sample(
        "HDF5", ".h5", hdf5, UNNAMED,
        "`resolution`, `voxel_size`, `element_size_um` of the data set or a group above",
        compressions=(None, "gzip", "lzf", "checked"),
    ),
    "zarr": Sample(
        "Zarr 2", ".zarr", zarr_array(2), UNNAMED,
        "`resolution`, `voxel_size` of the array or a group above",
    ),
    "zarr3": Sample(
        "Zarr 3, also with shards", ".zarr", zarr_array(3, shards=True), UNNAMED, "the same",
        compressions=(None, "checked"),
    ),
    "ome_zarr": Sample("OME-Zarr 0.4", ".zarr", ome_zarr("0.4"), OME_AXES, "scale and unit"),
    "ome_zarr3": Sample("OME-Zarr 0.5", ".zarr", ome_zarr("0.5"), OME_AXES, "scale and unit"),
    "n5": Sample(
        "N5", ".n5", n5, ("zyx",), "`pixelResolution`, `resolution`, `transform`", compressions=(None, "gzip")
    ),
    "precomputed": Sample("neuroglancer precomputed", "", precomputed, ("zyx",), "`resolution`"),
    "mrc": Sample("MRC", ".mrc", mrc, ("zyx", "xyz", "yxz"), "cell and grid"),
    "dm3": Sample("DM3", ".dm3", Gatan(3), ("zyx",), "calibration"),
    "dm4": Sample("DM4", ".dm4", Gatan(4), ("zyx",), "calibration"),
    "ser": Sample("SER", ".ser", ser, ("zyx",)),
}  # fmt: skip
EXTRA = ("mrc", "dm3", "dm4", "ser")
VOXEL_SIZE = (50.0, 5.0, 4.0)


def write(name: str, folder: Path, stack: np.ndarray, axes: str = "zyx", **options) -> Path:
    """Write a stack (z, y, x) in the order of ``axes``; other axes than z, y, x, t in z's place, have length 1."""
    sample = SAMPLES[name]
    path = folder / f"a_{name}{sample.suffix}"
    space = "".join("z" if axis == "t" and "z" not in axes else axis for axis in axes)
    array = stack.transpose(["zyx".index(axis) for axis in space if axis in "zyx"])
    array = np.ascontiguousarray(array.reshape([stack.shape["zyx".index(a)] if a in "zyx" else 1 for a in space]))
    sample.write(path, array, axes, VOXEL_SIZE, **options)
    return path
