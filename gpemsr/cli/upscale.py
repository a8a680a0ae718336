"""``gpemsr-upscale``: super-resolve a whole LR volume with a checkpoint."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from gpemsr.checkpoints.shipped import WEIGHTS_HELP, check_weights
from gpemsr.cli import new_parser
from gpemsr.cli.lmdb import parse_crop
from gpemsr.data.degradations import LINEAR
from gpemsr.data.grey_values import RANGE_HELP, GreyRange, parse_range
from gpemsr.errors import InputError, command

EXAMPLES = """examples:
  a TIFF stack, to an OME-Zarr image that napari and neuroglancer open:
    gpemsr-upscale lr.tif sr.zarr --weights net_g_latest.pth --voxel-size 50 32 32
  first see what it would take:
    gpemsr-upscale lr.tif sr.zarr --weights net_g_latest.pth --voxel-size 50 32 32 --dry-run
  go on after it was stopped:
    gpemsr-upscale lr.tif sr.zarr --weights net_g_latest.pth --voxel-size 50 32 32 --resume
"""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    parse = new_parser(
        "upscale",
        "Super-resolve a whole LR volume, section by section and, if memory is short, tile by tile.\n"
        "Data type, grey values and voxel size are those of the source. While it runs, all is in OUTPUT.run.",
        EXAMPLES,
    )
    parse.add_argument("input", help="LR volume: TIFF, folder of section images, HDF5, Zarr, OME-Zarr")
    parse.add_argument("output", help="volume to make: .zarr (OME-Zarr), .tif, .ome.tif or .h5")
    parse.add_argument("--weights", metavar="FILE", help=WEIGHTS_HELP)
    parse.add_argument("-opt", metavar="FILE", help="option file with network_g, if the checkpoint does not say")
    parse.add_argument("--dataset", help="data set in an HDF5 or Zarr file")
    parse.add_argument("--level", type=int, metavar="N", help="level of an OME-Zarr image (default: the finest)")
    parse.add_argument("--channel", type=int, metavar="N", help="which channel, if there are several")
    parse.add_argument("--time", type=int, metavar="N", help="which time point, if there are several")
    parse.add_argument("--range", nargs="+", metavar="LOW HIGH", help=f"as in training: {RANGE_HELP}")
    parse.add_argument("--voxel-size", nargs=3, type=float, metavar=("Z", "Y", "X"), help="LR voxels in nm, if unknown")
    text = "a part, in LR voxels; ends not included"
    parse.add_argument("--region", default=":,:,:", metavar="Z0:Z1,Y0:Y1,X0:X1", help=text)
    parse.add_argument("--mask", metavar="VOLUME", help="not 0 where there is tissue; may be coarser than the input")
    parse.add_argument("--missing-sections", nargs="+", type=int, default=[], metavar="Z", help="known to be damaged")
    text = "sections of which a part is not there: replace by the nearest (default), or keep black (with --mask)"
    parse.add_argument("--on-missing", choices=("replace", "keep"), help=text)
    parse.add_argument("--tile", type=int, metavar="N", help="LR pixels that the network sees at once (0: all)")
    parse.add_argument("--overlap", type=int, metavar="N", help="LR pixels that neighbouring tiles share (default 24)")
    parse.add_argument("--halo", type=int, metavar="N", help="of these, unused at a tile's border (default 8)")
    parse.add_argument("--depth", type=int, metavar="N", help="sections of a block (default 32, with tiles 16)")
    parse.add_argument("--batch", type=int, metavar="N", help="tiles that go through the network together")
    parse.add_argument("--memory", type=float, metavar="GB", help="that may be taken (default: most of what is free)")
    parse.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="default fp32")
    parse.add_argument("--device", help="cpu or cuda (default: cuda if there is one)")
    parse.add_argument("--ome-version", choices=("0.5", "0.4"), default="0.5", help="of the OME-Zarr (default 0.5)")
    parse.add_argument("--degradation", choices=LINEAR, default="bicubic", help="of training (default bicubic)")
    text = "correct the image so that degrading it gives the input"
    parse.add_argument("--consistent", action="store_true", help=text)
    text = "also write trust layers: where to believe the image; full takes twice as long and adds one"
    parse.add_argument("--trust", nargs="?", const="basic", choices=("basic", "full"), help=text)
    text = "of gpemsr-calibrate: adds a layer with the expected error"
    parse.add_argument("--calibration", metavar="FILE", help=text)
    parse.add_argument("--dry-run", action="store_true", help="check all and print what it would take")
    parse.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    parse.add_argument("--preview", metavar="FILE.png", help="only super-resolve one place, to a picture")
    parse.add_argument("--scheduler", metavar="ADDRESS", help="Dask: local:N worker processes, or tcp://host:port")
    parse.add_argument("--part", metavar="I/N", help="only the I-th of N parts; whoever ends last finishes the volume")
    return parse


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0, 1 if blocks failed, 2 for bad input."""
    arguments = parser().parse_args(argv)
    job, part = read_job(arguments), parse_part(arguments.part)
    if arguments.preview and Path(arguments.preview).suffix != ".png":
        raise InputError(f"--preview {arguments.preview}: expected the name of a .png file")
    from gpemsr.volume.planning import prepare

    run, needs = prepare(job, arguments.resume or (part is not None and job.is_begun))
    from gpemsr.volume.perform import BlocksFailed, perform

    print(needs.text(run.plan), flush=True)
    if arguments.preview:
        from gpemsr.volume.preview import write_preview

        write_preview(run, Path(arguments.preview))
    if arguments.dry_run or arguments.preview:
        return 0
    try:
        with scheduler(arguments.scheduler) as execute:
            summary = perform(run, resume=arguments.resume, part=part, execute=execute, progress=True)
    except BlocksFailed as error:
        for line in error.errors:
            print(f"error: {line}", file=sys.stderr)
        print(f"error: {len(error.errors)} blocks failed; --resume tries them again", file=sys.stderr)
        return 1
    print(f"{job.path}: other parts are still to be done" if summary is None else report(job.path, summary))
    return 0


def read_job(arguments: argparse.Namespace):
    """The arguments as a :class:`~gpemsr.volume.plan.Job`."""
    from gpemsr.volume.plan import Job

    if arguments.weights is not None:
        check_weights(arguments.weights)
    choice = parse_range(arguments.range)
    converted = {
        "source": arguments.input,
        "output": arguments.output.rstrip("/"),
        "options": arguments.opt,
        "grey_range": (choice.low, choice.high) if isinstance(choice, GreyRange) else choice,
        "voxel_size": None if arguments.voxel_size is None else tuple(arguments.voxel_size),
        "region": parse_crop(arguments.region, "--region"),
        "missing": tuple(arguments.missing_sections),
        "memory": parse_memory(arguments.memory),
    }
    same = {field.name for field in dataclasses.fields(Job)} - converted.keys()
    return Job(**converted, **{name: getattr(arguments, name) for name in same})


def scheduler(address: str | None):
    """What does the blocks, as a context: None for this process."""
    if address is None:
        return contextlib.nullcontext()
    from gpemsr.volume.scheduler import Scheduler

    return Scheduler(address)


def parse_part(text: str | None) -> tuple[int, int] | None:
    """``"2/8"`` -> (2, 8)."""
    match = re.fullmatch(r"(\d+)/(\d+)", text or "")
    if text is None:
        return None
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise InputError(f"--part {text}: expected such as 2/8")
    return int(match[1]), int(match[2])


def parse_memory(size: float | None) -> int | None:
    """GB -> bytes."""
    if size is None:
        return None
    if not 0 < size < math.inf:
        raise InputError(f"--memory {size:g}: expected GB, more than 0")
    return int(size * 1e9)


def report(path, summary: dict) -> str:
    """What a finished run has to say."""
    lines = [f"{path}: done"]
    replaced = [f"{item['section']} by {item['replaced_by']}" for item in summary["replaced_sections"]]
    if replaced:
        more = ", ..." if len(replaced) > 20 else ""
        lines.append(f"damaged sections, or parts of them, replaced: {', '.join(replaced[:20])}{more}")
    skipped = (len(summary["constant_blocks"]), summary["blocks_without_tissue"])
    if any(skipped):
        lines.append(f"not super-resolved: {skipped[0]} blocks of one grey value, {skipped[1]} without tissue")
    if summary["seams"] is not None:
        lines.append(f"seams: grey values change {summary['seams']:.3f} times as much where tiles meet as elsewhere")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
