"""``gpemsr-phantom``: write a synthetic EM stack, with the cells in it, as TIFF and as HDF5."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

import numpy as np

from gpemsr.errors import InputError, command
from gpemsr.files import replaced

EXAMPLES = """examples:
  a stack of 24 sections of 512 x 512 pixels at 40 x 4 x 4 nm:
    gpemsr-phantom phantom.tif
  the same with its cells, as TIFF and in the layout of the CREMI files:
    gpemsr-phantom phantom.tif --ids phantom_ids.tif --hdf5 phantom.hdf
  isotropic, like a FIB-SEM volume:
    gpemsr-phantom fib.tif --shape 100 250 250 --voxel-size 10 10 10 --blur 6 --dose 250 --jitter 0.5 --drift 0.3
"""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    parse = argparse.ArgumentParser(
        prog="gpemsr-phantom",
        description="Write a synthetic EM stack of neural tissue. The same options give the same stack.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parse.add_argument("raw", nargs="?", type=Path, help="TIFF stack to write (uint8, voxel size in its metadata)")
    parse.add_argument("--ids", type=Path, help="TIFF stack of the cells (uint32; 0 = membrane or between cells)")
    parse.add_argument(
        "--hdf5", type=Path, help="HDF5 file of both: volumes/raw, volumes/labels/neuron_ids, with resolution"
    )
    parse.add_argument(
        "--shape",
        nargs=3,
        type=int,
        default=(24, 512, 512),
        metavar=("Z", "Y", "X"),
        help="voxels (default 24 512 512)",
    )
    parse.add_argument(
        "--voxel-size",
        nargs=3,
        type=float,
        default=(40.0, 4.0, 4.0),
        metavar=("Z", "Y", "X"),
        help="nm (default 40 4 4)",
    )
    parse.add_argument("--seed", type=int, default=0, help="of everything random (default 0)")
    # the defaults of these are those of make_phantom
    parse.add_argument("--jitter", type=float, help="nm, how far sections are shifted (default 3)")
    parse.add_argument("--drift", type=float, help="contrast drift between sections, 1 = as usual (default 1)")
    parse.add_argument("--blur", type=float, help="nm, deviation of the beam (default 2.2)")
    parse.add_argument("--dose", type=float, help="electrons per pixel of full brightness, 0 = no noise (default 36)")
    parse.add_argument("--overwrite", action="store_true", help="replace files of these names")
    return parse  # fmt: skip


@command
def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code (2 for input that does not fit)."""
    arguments = parser().parse_args(argv)
    outputs = [path for path in (arguments.raw, arguments.ids, arguments.hdf5) if path is not None]
    _check_outputs(outputs, arguments.overwrite)
    amounts = {n: getattr(arguments, n) for n in ("jitter", "drift", "blur", "dose")}
    from tqdm import tqdm

    from gpemsr.data.volumes.writer import TiffStackWriter
    from gpemsr.phantom.stack import check_phantom, phantom_sections

    shape, voxel_size = tuple(arguments.shape), tuple(arguments.voxel_size)
    what = (shape, voxel_size, arguments.seed)
    amounts = {name: amount for name, amount in amounts.items() if amount is not None}
    check_phantom(*what, **amounts)
    with contextlib.ExitStack() as stack:
        raw = ids = both = None
        if arguments.raw:
            raw = stack.enter_context(TiffStackWriter(arguments.raw, shape, np.uint8, voxel_size))
        if arguments.ids:
            ids = stack.enter_context(_written(arguments.ids, lambda path: _IdsTiff(path, shape, voxel_size)))
        if arguments.hdf5:
            both = stack.enter_context(_written(arguments.hdf5, lambda path: _CremiFile(path, shape, voxel_size)))
        sections = phantom_sections(*what, **amounts)
        for k, (image, cells) in enumerate(tqdm(sections, total=shape[0], unit="section", desc="phantom")):
            if raw:
                raw.write(image)
            if ids:
                ids.write(cells)
            if both:
                both.write(k, image, cells)
    voxels = " x ".join(f"{length:g}" for length in voxel_size)
    for path in outputs:
        print(f"{path}: {shape[0]} sections of {shape[1]} x {shape[2]}, voxel size (z, y, x) {voxels} nm")
    return 0


def _check_outputs(outputs: list[Path], overwrite: bool) -> None:
    if not outputs:
        raise InputError("nothing to write: a TIFF to write, --ids or --hdf5 fits (see gpemsr-phantom -h)")
    if len({path.resolve() for path in outputs}) < len(outputs):
        raise InputError(f"{outputs[0]}: several outputs of one name; different names fit")
    for path in outputs:
        if path.is_dir():
            raise InputError(f"{path}: a folder; the name of a file fits")
        if path.exists() and not overwrite:
            raise InputError(f"{path} exists; --overwrite replaces it")


@contextlib.contextmanager
def _written(path: Path, make):
    """What ``make(temporary path)`` opens; it is closed and renamed to ``path`` if the block ends well."""
    with replaced(path) as temporary:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(make(temporary)) as writer:
            yield writer


class _IdsTiff:
    """A stack of uint32 sections; ImageJ's format has no uint32, so the voxel size is in tifffile's metadata."""

    def __init__(self, path: Path, shape, voxel_size):
        import tifffile

        self._file = tifffile.TiffWriter(path, bigtiff=4 * int(np.prod(shape)) > 2**31)
        self._shape, self._voxel_size = shape, voxel_size
        self._sections: list[np.ndarray] = []

    def write(self, section: np.ndarray) -> None:
        self._sections.append(section)

    def close(self) -> None:
        z, y, x = self._voxel_size
        with self._file:
            if len(self._sections) == self._shape[0]:
                self._file.write(
                    (section for section in self._sections), shape=self._shape, dtype=np.uint32, compression="zlib",
                    photometric="minisblack", resolution=(1 / x, 1 / y), resolutionunit="NONE",
                    metadata={"axes": "ZYX", "spacing": z, "unit": "nm"},
                )  # fmt: skip


class _CremiFile:
    """HDF5 laid out as the CREMI challenge does.

    It is put together in memory: HDF5 itself cannot close a file on a full disk, and the process would crash.
    """

    def __init__(self, path: Path, shape, voxel_size):
        import h5py

        self._path = path
        path.touch()
        self._file = h5py.File(path.name, "w", driver="core", backing_store=False)
        chunks = (1, min(shape[1], 512), min(shape[2], 512))
        self._raw, self._ids = (
            self._file.create_dataset(name, shape, dtype, chunks=chunks, compression="gzip", compression_opts=4)
            for name, dtype in (("volumes/raw", np.uint8), ("volumes/labels/neuron_ids", np.uint64))
        )
        for dataset in (self._raw, self._ids):
            dataset.attrs["resolution"] = np.array(voxel_size, float)
        self._ids.attrs["background_label"] = 0

    def write(self, k: int, image: np.ndarray, cells: np.ndarray) -> None:
        self._raw[k], self._ids[k] = image, cells

    def close(self) -> None:
        with self._file:
            self._file.flush()
            self._path.write_bytes(self._file.id.get_file_image())


if __name__ == "__main__":
    raise SystemExit(main())
