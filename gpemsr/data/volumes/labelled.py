"""Writing a stack and its cells: TIFF of the images, TIFF of the ids, HDF5 of both."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import h5py
import numpy as np
import tifffile

from gpemsr.data.volumes.writer import TiffStackWriter
from gpemsr.files import replaced


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
    with contextlib.ExitStack() as opened:
        writer = opened.enter_context(TiffStackWriter(raw, shape, np.uint8, voxel_size)) if raw else None
        labels = opened.enter_context(_made(ids)) if ids else None
        cremi = opened.enter_context(_made(hdf5)) if hdf5 else None
        images, cells = [], []
        for image, owner in sections:
            if writer:
                writer.write(image)
            images.append(image)
            cells.append(owner)
        if labels:
            _write_ids(labels, np.stack(cells), voxel_size)
        if cremi:
            _write_cremi(cremi, {"raw": np.stack(images), "labels/neuron_ids": np.stack(cells)}, voxel_size)


@contextlib.contextmanager
def _made(path: Path) -> Iterator[Path]:
    """:func:`replaced` in a folder that is made, with an empty file to start with: what cannot be written shows."""
    with replaced(path) as temporary:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        yield temporary


def _write_ids(path: Path, cells: np.ndarray, voxel_size: tuple[float, float, float]) -> None:
    """A stack of uint32 sections; ImageJ's format has no uint32, so the voxel size is in tifffile's metadata."""
    z, y, x = voxel_size
    tifffile.imwrite(
        path, cells, compression="zlib", photometric="minisblack", bigtiff=cells.nbytes > 2**31,
        resolution=(1 / x, 1 / y), resolutionunit="NONE", metadata={"axes": "ZYX", "spacing": z, "unit": "nm"},
    )  # fmt: skip


def _write_cremi(path: Path, stacks: dict[str, np.ndarray], voxel_size: tuple[float, float, float]) -> None:
    """HDF5 laid out as the CREMI challenge does.

    It is put together in memory: HDF5 itself cannot close a file on a full disk, and the process would crash.
    """
    with h5py.File(path.name, "w", driver="core", backing_store=False) as file:
        for name, stack in stacks.items():
            layout = {"chunks": (1, *(min(n, 512) for n in stack.shape[1:])), "compression": "gzip"}
            dtype = np.uint8 if name == "raw" else np.uint64
            file.create_dataset(f"volumes/{name}", data=stack, dtype=dtype, compression_opts=4, **layout)
            file[f"volumes/{name}"].attrs["resolution"] = np.array(voxel_size, float)
        file["volumes/labels/neuron_ids"].attrs["background_label"] = 0
        file.flush()
        path.write_bytes(file.id.get_file_image())
