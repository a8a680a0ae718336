"""Make ``docs/images/phantom.png``, the phantom next to real EM: ``python tools/plot_phantom.py --fib25 raw.tif``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import tifffile
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from gpemsr.errors import InputError, command
from gpemsr.files import replaced
from gpemsr.phantom.stack import make_phantom

PANEL, GAP, LABEL = 280, 6, 20
CREDIT = "EM data: FIB-25, FlyEM / Janelia, CC BY"
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
    picture = draw(real, arguments.seed)
    picture = picture.point([min(value // 6 * 6 + 3, 255) if value < 250 else 255 for value in range(256)] * 3)
    with replaced(arguments.out) as temporary:
        picture.quantize(256, dither=Image.Dither.NONE).save(temporary, optimize=True)
    print(f"{arguments.out}: {picture.width} x {picture.height}, {arguments.out.stat().st_size // 1000} kB")
    return 0


def draw(real: np.ndarray, seed: int) -> Image.Image:
    """The picture: real and synthetic section at 10 nm, a section at 4 nm with its cells, consecutive sections."""
    fib = make_phantom((8, *real.shape), (10.0, 10.0, 10.0), seed, **LIKE_FIB).raw[4]
    stack = make_phantom((12, 640, 640), (40.0, 4.0, 4.0), seed)
    y, x = 170, 170
    view = slice(y, y + PANEL), slice(x, x + PANEL)
    shown = stack.raw[(slice(4, 8), *view)]
    rows = [
        [
            (f"FIB-25 (real), 10 nm, {real.shape[1] / 100:g} µm wide", _resize(real)),
            ("phantom, 10 nm", _resize(fib)),
            ("FIB-25 (real), zoom, 1 µm wide", _resize(real[60:160, 50:150])),
            ("phantom, zoom, 1 µm wide", _resize(fib[30:130, 30:130])),
        ],
        [
            ("phantom, 40 x 4 x 4 nm, 2.56 µm wide", _resize(stack.raw[4])),
            (f"part of it, {0.004 * PANEL:.1f} µm wide", shown[0]),
            ("zoom, 0.4 µm wide", _resize(shown[0, 120:220, 100:200])),
            ("with its cells", overlay(shown[0], stack.ids[(4, *view)])),
        ],
        [(f"phantom, section {4 + k}, 40 nm apart", section) for k, section in enumerate(shown)],
    ]
    width, height = 4 * PANEL + 5 * GAP, 3 * (PANEL + LABEL) + 4 * GAP
    canvas = Image.new("RGB", (width, height + LABEL), "white")
    pen = ImageDraw.Draw(canvas)
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 13)
    for row, panels in enumerate(rows):
        for column, (label, panel) in enumerate(panels):
            left, top = GAP + column * (PANEL + GAP), GAP + row * (PANEL + LABEL + GAP)
            pen.text((left, top + 1), label, "black", font)
            canvas.paste(Image.fromarray(panel).convert("RGB"), (left, top + LABEL))
    pen.text((GAP, height), f"{CREDIT} (panels marked real); all others are synthetic.", "black", font)
    return canvas


def overlay(section: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """A section (y, x) uint8 tinted by cell in 12 colours: (y, x, 3) uint8."""
    hue = (ids * 5 % 12) / 12
    colour = 0.5 + 0.5 * np.cos(2 * np.pi * (hue[..., None] - np.array([0.0, 1 / 3, 2 / 3])))
    tint = np.where(ids[..., None] > 0, 0.45 + 0.55 * colour, 0.75)
    grey = np.where(ids > 0, section.astype(int) // 40 * 40 + 20, section)
    return np.clip(grey[..., None] * tint * 1.15, 0, 255).astype(np.uint8)


def _resize(section: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(section).resize((PANEL, PANEL), Image.Resampling.BICUBIC))


if __name__ == "__main__":
    sys.exit(main())
