"""``gpemsr-demo``: data -> LMDBs -> three stages -> the held-back sections super-resolved, scored and pictured.

With ``--weights`` nothing is trained.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from gpemsr.checkpoints.shipped import WEIGHTS_HELP, weights_file
from gpemsr.cli import new_parser
from gpemsr.errors import command

FILES = ("sr.tif", "comparison.png", "results.md", "scores.csv")


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    parse = new_parser(
        "demo",
        "Train the three stages of GPEMSR on most of a stack (without DATA: on a synthetic one), super-resolve the "
        "last fifth of its sections, and compare with bicubic interpolation. With --weights, nothing is trained.",
    )
    parse.add_argument("--data", type=Path, help="EM stack: TIFF, folder of images, HDF5, Zarr (default: a phantom)")
    parse.add_argument("--dataset", help="data set in an HDF5 or Zarr file")
    parse.add_argument("--voxel-size", nargs=3, type=float, metavar=("Z", "Y", "X"), help="nm, if the file lacks it")
    parse.add_argument("--every", type=int, default=1, metavar="K", help="take every K-th section (default 1)")
    parse.add_argument("--scale", type=int, choices=(8, 16), default=8, help="HR over LR size (default 8)")
    parse.add_argument("--out", type=Path, default=Path("demo"), help="folder for all results (default demo)")
    parse.add_argument(
        "--options", type=Path, default=Path("options/demo"), help="folder of stage1.yml, stage2_x8.yml, ..."
    )
    parse.add_argument(
        "--consistent", action="store_true", help="correct the images so that degrading them gives the LR sections"
    )
    parse.add_argument("--weights", help=f"trained network: {WEIGHTS_HELP}")
    parse.add_argument("--note", help="a line for the picture, such as the data's origin")
    parse.add_argument(
        "--precision", choices=("fp32", "bf16"), default="fp32", help="what the trained network computes in"
    )
    return parse


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit code: 1 if GPEMSR is not above bicubic interpolation."""
    arguments = parser().parse_args(argv)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from gpemsr.benchmark.demo import Demo

    options = vars(arguments)
    if arguments.weights:
        from gpemsr.volume.network import network_section

        options["weights"] = weights_file(arguments.weights)
        options["scale"] = network_section(None, str(options["weights"])).get("scale", arguments.scale)
    demo = Demo(**options)
    print(demo.make_data(), flush=True)
    gain, results = demo.evaluate(demo.train())
    print(results)
    print(f"Written: {', '.join(str(arguments.out / file) for file in FILES)}")
    if gain > 0:
        return 0
    advice = (
        "a network trained on such sections is needed (docs/training.md)"
        if arguments.weights
        else "train for longer, on more sections or with another manual_seed (change a copy of "
        f"{arguments.options}, see --options)"
    )
    print(f"error: GPEMSR is {-gain:.2f} dB below bicubic interpolation on these sections: {advice}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
