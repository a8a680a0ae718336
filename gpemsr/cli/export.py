"""``gpemsr-export``: a trained network as a bioimage.io package, for other programs."""

from __future__ import annotations

import argparse
from pathlib import Path

from gpemsr.checkpoints.shipped import WEIGHTS_HELP
from gpemsr.cli import new_parser
from gpemsr.errors import InputError, command

EXAMPLES = """examples:
  the network that comes with the package:
    gpemsr-export fib25-x8 fib25-x8.zip
  one of your own, tested on a stack of your own:
    gpemsr-export net_g_latest.pth cells.zip --author "A. Name" --licence CC-BY-4.0 --sample lr.tif
"""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    parse = new_parser(
        "export",
        "Write a bioimage.io package (.zip) of a network of stage III, with TorchScript and ONNX weights. It is tested "
        "before it gets its name.",
        EXAMPLES,
    )
    parse.add_argument("weights", help=WEIGHTS_HELP)
    parse.add_argument("out", type=Path, help="package to write, .zip")
    parse.add_argument("--name", help="of the model (default: GPEMSR and the name of the weights)")
    parse.add_argument("--author", nargs="+", default=[], metavar="NAME", help="who made the weights")
    parse.add_argument("--licence", metavar="SPDX", help="of the weights, such as CC-BY-4.0")
    parse.add_argument("--sample", metavar="LR", help="stack whose middle is the test input (default: a synthetic one)")
    parse.add_argument("--overwrite", action="store_true", help="replace the package")
    return parse


@command
def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code (2 for bad input)."""
    arguments = parser().parse_args(argv)
    if arguments.out.exists() and not arguments.overwrite:
        raise InputError(f"{arguments.out} exists; --overwrite replaces it")
    from gpemsr.export.package import Export, export_package

    export = Export(
        weights=arguments.weights,
        out=arguments.out,
        name=arguments.name,
        authors=tuple(arguments.author),
        licence=arguments.licence,
        sample=arguments.sample,
    )
    found = export_package(export)
    for name, difference in found.differences.items():
        print(f"{name}: differs from the network by {difference:.1g} at most, grey values in [0, 1]")
    sizes = f"LR heights and widths are multiples of {found.step}"
    print(f"{export.out}: {found.size / 1e6:.1f} MB, passed by bioimageio.core; {sizes}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
