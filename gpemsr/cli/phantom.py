"""``gpemsr-phantom``: write a synthetic EM stack, with the cells in it, as TIFF and as HDF5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gpemsr.cli import new_parser
from gpemsr.errors import InputError, command

EXAMPLES = """examples:
  a stack of 24 sections of 512 x 512 pixels at 40 x 4 x 4 nm:
    gpemsr-phantom phantom.tif
  the same with its cells, as TIFF and in the layout of the CREMI files:
    gpemsr-phantom phantom.tif --ids phantom_ids.tif --hdf5 phantom.hdf
  isotropic, like a FIB-SEM volume:
    gpemsr-phantom fib.tif --shape 100 250 250 --voxel-size 10 10 10 --blur 6 --dose 250 --jitter 0.5 --drift 0.3
"""


@command
def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code (2 for bad input)."""
    text = "Write a synthetic EM stack of neural tissue. The same options give the same stack."
    parse = new_parser("phantom", text, EXAMPLES)
    parse.add_argument("raw", nargs="?", type=Path, help="TIFF stack to write (uint8, voxel size in its metadata)")
    parse.add_argument("--ids", type=Path, help="TIFF stack of the cells (uint32; 0 = membrane or between cells)")
    parse.add_argument("--hdf5", type=Path, help="HDF5 of both: volumes/raw, volumes/labels/neuron_ids, resolution")
    zyx: dict[str, Any] = {"nargs": 3, "metavar": ("Z", "Y", "X")}
    parse.add_argument("--shape", type=int, default=(24, 512, 512), help="voxels (default 24 512 512)", **zyx)
    parse.add_argument("--voxel-size", type=float, default=(40.0, 4.0, 4.0), help="nm (default 40 4 4)", **zyx)
    parse.add_argument("--seed", type=int, default=0, help="of everything random (default 0)")
    # the defaults of these are those of make_phantom
    parse.add_argument("--jitter", type=float, help="nm, how far sections are shifted (default 3)")
    parse.add_argument("--drift", type=float, help="contrast drift between sections, 1 = as usual (default 1)")
    parse.add_argument("--blur", type=float, help="nm, deviation of the beam (default 2.2)")
    parse.add_argument("--dose", type=float, help="electrons per pixel of full brightness, 0 = no noise (default 36)")
    parse.add_argument("--overwrite", action="store_true", help="replace files of these names")
    arguments = parse.parse_args(argv)
    from tqdm import tqdm

    from gpemsr.data.volumes.labelled import write_labelled
    from gpemsr.phantom.stack import check_phantom, phantom_sections

    files = {name: getattr(arguments, name) for name in ("raw", "ids", "hdf5")}
    outputs = [path for path in files.values() if path]
    _check_outputs(outputs, arguments.overwrite)
    given = {name: getattr(arguments, name) for name in ("jitter", "drift", "blur", "dose")}
    amounts = {name: amount for name, amount in given.items() if amount is not None}
    shape, voxel_size = tuple(arguments.shape), tuple(arguments.voxel_size)
    check_phantom(shape, voxel_size, arguments.seed, **amounts)
    sections = phantom_sections(shape, voxel_size, arguments.seed, **amounts)
    write_labelled(tqdm(sections, total=shape[0], unit="section", desc="phantom"), shape, voxel_size, **files)
    voxels = " x ".join(f"{length:g}" for length in voxel_size)
    for path in outputs:
        print(f"{path}: {shape[0]} sections of {shape[1]} x {shape[2]}, voxel size (z, y, x) {voxels} nm")
    return 0


def _check_outputs(outputs: list[Path], overwrite: bool) -> None:
    if not outputs:
        raise InputError("nothing to write: give a TIFF to write, --ids or --hdf5 (see gpemsr-phantom -h)")
    if len({path.resolve() for path in outputs}) < len(outputs):
        raise InputError(f"{outputs[0]}: several outputs of one name; give each its own")
    for path in outputs:
        if path.is_dir():
            raise InputError(f"{path}: a folder; give the name of a file")
        if path.exists() and not overwrite:
            raise InputError(f"{path} exists; --overwrite replaces it")


if __name__ == "__main__":
    raise SystemExit(main())
