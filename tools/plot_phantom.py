"""Make ``docs/images/phantom.png``, the phantom next to real EM: ``python tools/plot_phantom.py --fib25 raw.tif``."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import tifffile
from matplotlib.figure import Figure

from gpemsr.benchmark.panels import panel_grid
from gpemsr.benchmark.report.sections import overlay
from gpemsr.errors import InputError, command
from gpemsr.files import replaced
from gpemsr.phantom.stack import make_phantom

CREDIT = "EM data: FIB-25, FlyEM / Janelia, CC BY (panels marked real); all others are synthetic."
LIKE_FIB = {"jitter": 0.5, "drift": 0.3, "blur": 8.0, "dose": 250.0}


@command
def main(argv: list[str] | None = None) -> int:
    """Draw the picture; returns the exit code."""
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("--fib25", type=Path, required=True, help="the FIB-25 volume (10 nm voxels) as TIFF")
    parse.add_argument("--section", type=int, default=100, help="its section (default 100)")
    parse.add_argument("--seed", type=int, default=2, help="of the phantoms (default 2)")
    parse.add_argument("--out", type=Path, default=Path("docs/images/phantom.png"))
    arguments = parse.parse_args(argv)
    try:
        real = tifffile.imread(arguments.fib25, key=arguments.section)
    except (OSError, IndexError, tifffile.TiffFileError) as error:
        raise InputError(f"{arguments.fib25} section {arguments.section}: cannot be read ({error})") from error
    with replaced(arguments.out) as temporary:
        draw(real, arguments.seed).savefig(temporary, pil_kwargs={"optimize": True})
    print(f"{arguments.out}: {arguments.out.stat().st_size // 1000} kB")
    return 0


def draw(real: np.ndarray, seed: int) -> Figure:
    """The picture: real and synthetic section at 10 nm, a section at 4 nm with its cells, consecutive sections."""
    fib = make_phantom((8, *real.shape), (10.0, 10.0, 10.0), seed, **LIKE_FIB).raw[4]
    stack = make_phantom((12, 640, 640), (40.0, 4.0, 4.0), seed)
    part = np.s_[170:450, 170:450]
    sections = [section[part] for section in stack.raw[4:8]]
    panels = {
        f"FIB-25 (real), 10 nm, {real.shape[1] / 100:g} µm wide": real,
        "phantom, 10 nm": fib,
        "FIB-25 (real), zoom, 1 µm wide": real[60:160, 50:150],
        "phantom, zoom, 1 µm wide": fib[30:130, 30:130],
        "phantom, 40 x 4 x 4 nm, 2.56 µm wide": stack.raw[4],
        "part of it, 1.1 µm wide": sections[0],
        "zoom, 0.4 µm wide": sections[0][120:220, 100:200],
        "with its cells": overlay(stack.ids[4][part], sections[0]),
        **{f"phantom, section {4 + k}, 40 nm apart": section for k, section in enumerate(sections)},
    }
    figure, cells = panel_grid(len(panels), 1, 4, 2.9)
    for (title, image), (axis,) in zip(panels.items(), cells, strict=True):
        axis.set_title(title, fontsize=9)
        axis.imshow(image, cmap="gray", vmin=0, vmax=255)
    figure.supxlabel(CREDIT, fontsize=9)
    return figure


if __name__ == "__main__":
    raise SystemExit(main())
