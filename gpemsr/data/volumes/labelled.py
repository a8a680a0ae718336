"""Writing a stack and its cells section by section: TIFF of the images, TIFF of the ids, HDF5 of both."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import h5py
import numpy as np
import tifffile

from gpemsr.data.volumes.writer import TiffStackWriter
from gpemsr.files import replaced

Write = Callable[[int, np.ndarray, np.ndarray], object]  # takes the number of a section, its image, its ids


def write_labelled(
    sections: Iterable[tuple[np.ndarray, np.ndarray]],
    shape: tuple[int, int, int],
    voxel_size: tuple[float, float, float],
    raw: Path | None = None,
    ids: Path | None = None,
    hdf5: Path | None = None,
) -> None:
    """Write the ``sections`` (image uint8, ids uint32) of a stack to the files that are not None.

    Each file appears under its name once all sections are in it.

    Raises:
        InputError: a file cannot be written.
    """
    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(writer(path, shape, voxel_size))
            for writer, path in ((_raw_tiff, raw), (_ids_tiff, ids), (_cremi_file, hdf5))
            if path is not None
        ]
        for k, (image, cells) in enumerate(sections):
            for write in writers:
                write(k, image, cells)


@contextlib.contextmanager
def _raw_tiff(path: Path, shape, voxel_size) -> Iterator[Write]:
    with TiffStackWriter(path, shape, np.uint8, voxel_size) as writer:
        yield lambda k, image, cells: writer.write(image)


@contextlib.contextmanager
def _ids_tiff(path: Path, shape, voxel_size) -> Iterator[Write]:
    """A stack of uint32 sections; ImageJ's format has no uint32, so the voxel size is in tifffile's metadata."""
    z, y, x = voxel_size
    sections: list[np.ndarray] = []
    with _made(path) as temporary:
        yield lambda k, image, cells: sections.append(cells)
        tifffile.imwrite(
            temporary, iter(sections), shape=shape, dtype=np.uint32, compression="zlib", photometric="minisblack",
            bigtiff=4 * int(np.prod(shape)) > 2**31, resolution=(1 / x, 1 / y), resolutionunit="NONE",
            metadata={"axes": "ZYX", "spacing": z, "unit": "nm"},
        )  # fmt: skip


@contextlib.contextmanager
def _cremi_file(path: Path, shape, voxel_size) -> Iterator[Write]:
    """HDF5 laid out as the CREMI challenge does.

    It is put together in memory: HDF5 itself cannot close a file on a full disk, and the process would crash.
    """
    layout = {"chunks": (1, min(shape[1], 512), min(shape[2], 512)), "compression": "gzip", "compression_opts": 4}
    with _made(path) as temporary, h5py.File(path.name, "w", driver="core", backing_store=False) as file:
        raw = file.create_dataset("volumes/raw", shape, np.uint8, **layout)
        ids = file.create_dataset("volumes/labels/neuron_ids", shape, np.uint64, **layout)
        for dataset in (raw, ids):
            dataset.attrs["resolution"] = np.array(voxel_size, float)
        ids.attrs["background_label"] = 0

        def write(k: int, image: np.ndarray, cells: np.ndarray) -> None:
            raw[k], ids[k] = image, cells

        yield write
        file.flush()
        temporary.write_bytes(file.id.get_file_image())


@contextlib.contextmanager
def _made(path: Path) -> Iterator[Path]:
    """:func:`replaced` in a folder that is made, with an empty file to start with: what cannot be written shows."""
    with replaced(path) as temporary:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        yield temporary
