"""``gpemsr-lmdb``: make LMDBs of HR and LR sections from an EM volume."""

from __future__ import annotations

import argparse
import contextlib
import re
from pathlib import Path

from gpemsr.cli import new_parser
from gpemsr.data.degradations import DEGRADATIONS
from gpemsr.data.grey_values import RANGE_HELP, parse_range
from gpemsr.errors import InputError, command

EXAMPLES = """examples:
  a TIFF stack, scales 8 and 16, the last six sections kept for testing:
    gpemsr-lmdb stack.tif --out datasets --name cell --scales 8 16 --split train=0-23 test=24-29 --voxel-size 50 4 4
  a CREMI file whose sections 14 and 74 are damaged:
    gpemsr-lmdb sample_C.hdf --dataset volumes/raw --out datasets --name cremi_c --missing-sections 14 74
  every 4th section of an isotropic volume, a corner of it, low-dose LR sections:
    gpemsr-lmdb fib.zarr --out datasets --name fib --every 4 --crop :,0:240,0:240 --degradation em --dose 30
  a second volume in the same LMDBs:
    gpemsr-lmdb other.tif --out datasets --name cell --volume other --scales 8 16 --split train=0-49 test=50-59 --append
  a stack and the LR stack of the same field, registered, in place of degraded sections:
    gpemsr-lmdb slow.tif --lr fast.tif --out datasets --name pairs
  read LMDBs back:
    gpemsr-lmdb --verify datasets/*.lmdb
"""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    parse = new_parser(
        "lmdb",
        "Make LMDBs of the HR sections of an EM volume and of the LR sections made from them. "
        "Writes <out>/<name>[_<split>]_hr.lmdb and <out>/<name>[_<split>]_lr_x<scale>.lmdb.",
        EXAMPLES,
    )
    text = "file, folder or address of a volume (docs/data.md lists the formats); with --verify, without --out: LMDBs"
    parse.add_argument("input", nargs="*", help=text)
    parse.add_argument("--dataset", help="data set in an HDF5 file (default volumes/raw) or array in a Zarr group")
    parse.add_argument("--out", type=Path, help="folder for the LMDBs")
    parse.add_argument("--name", help="name of the LMDBs (default: the input's)")
    parse.add_argument("--volume", help="name of the volume within them (default: --name)")
    parse.add_argument("--scales", nargs="+", type=int, metavar="R", help="LR scales (default 8, or that of --lr)")
    parse.add_argument("--lr", metavar="LR", help="LR stack of the same field, in place of degraded HR sections")
    parse.add_argument("--lr-range", nargs="+", metavar="LOW HIGH", help="as --range, of --lr")
    how = "; ".join(f"{kind}: {degradation.help}" for kind, degradation in DEGRADATIONS.items())
    text = f"how LR is made, default bicubic; {how}"
    parse.add_argument("--degradation", choices=tuple(DEGRADATIONS), default="bicubic", help=text)
    parse.add_argument("--seed", type=int, default=0, help="of the degradation's noise (default 0)")
    for name, text in _parameters().items():
        parse.add_argument(f"--{name.replace('_', '-')}", type=float, help=text)
    text = "section numbers A to B (included) of each split"
    parse.add_argument("--split", nargs="+", default=[], metavar="NAME=A-B", help=text)
    text = "use a part; ends not included, may be left out"
    parse.add_argument("--crop", default=":,:,:", metavar="Z0:Z1,Y0:Y1,X0:X1", help=text)
    parse.add_argument("--every", type=int, default=1, metavar="K", help="take every K-th section (default 1)")
    text = "store sections with a side longer than N as tiles of N (default 256; 0: never)"
    parse.add_argument("--tile", type=int, default=256, metavar="N", help=text)
    text = "sections known to be damaged; each is replaced by the nearest earlier valid one, and recorded"
    parse.add_argument("--missing-sections", nargs="+", type=int, default=[], metavar="Z", help=text)
    text = "sections absent, in part or whole, or of one value: refuse (default), replace by the one before, keep black"
    parse.add_argument("--on-missing", choices=("refuse", "replace", "keep"), default="refuse", help=text)
    parse.add_argument("--range", nargs="+", metavar="LOW HIGH", help=RANGE_HELP)
    parse.add_argument("--channel", type=int, metavar="C", help="which channel, from 0, if there are several")
    parse.add_argument("--time", type=int, metavar="T", help="which time point, from 0, if there are several")
    text = "in nm, if the input lacks it or is wrong"
    parse.add_argument("--voxel-size", nargs=3, type=float, metavar=("Z", "Y", "X"), help=text)
    parse.add_argument("--overwrite", action="store_true", help="replace LMDBs of the same names")
    parse.add_argument("--append", action="store_true", help="add the volume to LMDBs of the same names")
    parse.add_argument("--verify", action="store_true", help="read everything back, after writing or of given LMDBs")
    return parse


def _parameters() -> dict[str, str]:
    """Help of the parameters of all degradations, by name."""
    texts: dict[str, list[str]] = {}
    for kind, degradation in DEGRADATIONS.items():
        for name, parameter in degradation.parameters.items():
            texts.setdefault(name, []).append(f"{kind}: {parameter.help} (default {parameter.default:g})")
    return {name: "; ".join(lines) for name, lines in texts.items()}


@command
def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code (2 for bad input)."""
    arguments = parser().parse_args(argv)
    if arguments.out is None:
        if not arguments.verify or not arguments.input:
            raise InputError("give an input and --out, or LMDBs and --verify (see gpemsr-lmdb -h)")
        return _verify([Path(path) for path in arguments.input])
    if len(arguments.input) != 1:
        raise InputError(f"{len(arguments.input)} inputs; expected one (see gpemsr-lmdb -h)")
    _check_lr(arguments)
    from gpemsr.data.lmdb_job import LmdbJob, make_lmdbs
    from gpemsr.data.real_lr import OPTION, RealLR
    from gpemsr.data.volumes.formats import volume_path
    from gpemsr.data.volumes.reader import open_volume

    source = volume_path(arguments.input[0])
    stem = source.resolve().name if isinstance(source, Path) else source.rstrip("/").rpartition("/")[2]
    name = arguments.name or re.sub(r"[^A-Za-z0-9_-]", "_", stem.split(".")[0])
    job = LmdbJob(
        out=arguments.out,
        name=name,
        volume=arguments.volume or name,
        scales=arguments.scales or [8],
        degradation=arguments.degradation,
        seed=arguments.seed,
        parameters={name: value for name in _parameters() if (value := getattr(arguments, name)) is not None},
        splits=parse_splits(arguments.split),
        crop=parse_crop(arguments.crop),
        every=arguments.every,
        tile=arguments.tile or None,
        missing=arguments.missing_sections,
        grey_range=parse_range(arguments.range),
        overwrite=arguments.overwrite,
        append=arguments.append,
    )
    voxel_size = None if arguments.voxel_size is None else tuple(arguments.voxel_size)
    opening = {key: getattr(arguments, key) for key in ("on_missing", "channel", "time")}
    with contextlib.ExitStack() as opened:
        volume = opened.enter_context(open_volume(source, arguments.dataset, voxel_size, **opening))
        if arguments.lr:
            opening["on_missing"] = "replace"  # RealLR refuses such sections itself
            lr = opened.enter_context(open_volume(arguments.lr, **opening))
            job.lr = RealLR(volume, lr, parse_range(arguments.lr_range, OPTION))
            job.scales = arguments.scales or [job.lr.scale]
        paths = make_lmdbs(volume, job)
        _summarise(volume, paths, job.volume)
    return _verify(paths) if arguments.verify else 0


def _check_lr(arguments: argparse.Namespace) -> None:
    """Raise :class:`InputError` for options that would not be used, with or without ``--lr``."""
    if not arguments.lr:
        if arguments.lr_range:
            raise InputError(f"--lr-range {' '.join(arguments.lr_range)}: expected with --lr")
        return
    if arguments.degradation != "bicubic":
        raise InputError(f"--degradation {arguments.degradation}: expected without --lr")
    for name in _parameters():
        if (value := getattr(arguments, name)) is not None:
            raise InputError(f"--{name.replace('_', '-')} {value:g}: expected without --lr")


def parse_splits(texts: list[str]) -> dict[str, tuple[int, int]]:
    """``["train=0-23", "test=24-29"]`` -> ``{"train": (0, 23), "test": (24, 29)}``."""
    splits: dict[str, tuple[int, int]] = {}
    for text in texts:
        match = re.fullmatch(r"([^=]+)=(\d+)-(\d+)", text)
        if match is None:
            raise InputError(f"--split {text}: expected such as train=0-23")
        if match[1] in splits:
            raise InputError(f"--split names {match[1]} twice")
        splits[match[1]] = (int(match[2]), int(match[3]))
    return splits


def parse_crop(text: str, option: str = "--crop"):
    """``"0:50,:,16:"`` -> ``((0, 50), (None, None), (16, None))``: z, y, x; ends not included."""
    parts = text.split(",")
    matches = [match for part in parts if (match := re.fullmatch(r"(\d*):(\d*)", part.strip()))]
    if not len(parts) == len(matches) == 3:
        raise InputError(f"{option} {text}: expected such as 0:50,0:1024,256:1280 or :,:,0:512")
    return tuple(tuple(int(end) if end else None for end in match.groups()) for match in matches)


def _summarise(volume, paths: list[Path], name: str) -> None:
    from gpemsr.data.lmdb_files import read_metadata

    if volume.voxel_size is None:
        print(f"{volume.source}: voxel size unknown; --voxel-size gives it")
    for path in paths:
        entry = read_metadata(path)["volumes"][name]
        size = entry["voxel_size"]
        voxels = "" if size is None else f", voxel size (z, y, x) {' x '.join(f'{length:g}' for length in size)} nm"
        shape = f"{len(entry['sections'])} sections of {entry['height']} x {entry['width']}"
        print(f"{path}: {shape} {entry['dtype']}{voxels}")
        if entry["blank_sections"]:
            print(f"{path}: blank section {', '.join(str(number) for number in entry['blank_sections'])}")
        if entry.get("registration"):
            print("section  shift y  shift x (LR pixels)  correlation")
            for fit in entry["registration"]:
                print(f"{fit['section']:7d}  {fit['y']:+7.2f}  {fit['x']:+7.2f}  {fit['correlation']:24.3f}")
        if entry["missing_sections"]:
            pairs = [f"{item['section']} by {item['replaced_by']}" for item in entry["missing_sections"]]
            print(f"{path}: replaced section {', '.join(pairs)}")


def _verify(paths: list[Path]) -> int:
    from gpemsr.data.em_lmdb import verify

    for path in paths:
        print(f"{path}: {verify(path, progress=True)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
