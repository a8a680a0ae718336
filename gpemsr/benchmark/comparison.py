"""One picture that compares LR, bicubic, GPEMSR and HR, with a zoom."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib_scalebar.scalebar import ScaleBar

if TYPE_CHECKING:
    from gpemsr.benchmark.held_back import SectionResult

DPI = 100
BOX = "#ffb000"


def plot_comparison(
    result: SectionResult, path: str | Path, pixel_size: float | None = None, note: str | None = None
) -> None:
    """Write the picture.

    The first row shows the whole section, the second a quarter-width zoom around its most detailed place.

    Args:
        result: a scored section.
        path: PNG to write.
        pixel_size: nm of an HR pixel, for the scale bars; None for none.
        note: a line at the bottom, for the origin of the data.
    """
    height, width = result.gt.shape
    side = max(32, min(height, width) // 4)
    y, x = most_detailed(result.gt, side)
    scale = height // result.lq.shape[0]
    scores = result.scores
    panels = {
        f"LR, x{scale} coarser": np.kron(result.lq, np.ones((scale, scale), np.float32)),
        f"bicubic {scores['psnr_bicubic']:.2f} dB, {scores['ssim_bicubic']:.3f}": result.bicubic,
        f"GPEMSR {scores['psnr']:.2f} dB, {scores['ssim']:.3f}": result.sr,
        "HR": result.gt,
    }
    figure = Figure(figsize=(16, 8.2 * max(0.6, height / width) + 0.4), dpi=DPI, layout="constrained")
    axes = figure.subplots(2, 4)
    window = {"cmap": "gray", "vmin": float(result.gt.min()), "vmax": float(result.gt.max()), "interpolation": "none"}
    for (title, image), (whole, zoom) in zip(panels.items(), axes.T, strict=True):
        whole.set_title(title, fontsize=13)
        whole.imshow(image, **window)
        whole.add_patch(Rectangle((x - 0.5, y - 0.5), side, side, fill=False, edgecolor=BOX, linewidth=1.5))
        zoom.imshow(image[y : y + side, x : x + side], **window)
        for axis in (whole, zoom):
            axis.set_axis_off()
    if pixel_size:
        for axis in axes[:, 0]:
            axis.add_artist(scale_bar(pixel_size))
    if note:
        figure.supxlabel(note, fontsize=10)
    figure.savefig(path)


def most_detailed(image: np.ndarray, side: int) -> tuple[int, int]:
    """Top-left corner (y, x) of the square whose gradient is strongest, on a grid of half its side."""
    gradient = np.hypot(*np.gradient(image))
    corners = [
        (y, x)
        for y in range(0, image.shape[0] - side + 1, side // 2)
        for x in range(0, image.shape[1] - side + 1, side // 2)
    ]
    return max(corners, key=lambda c: gradient[c[0] : c[0] + side, c[1] : c[1] + side].sum())


def scale_bar(pixel_size: float, location: str = "lower left") -> ScaleBar:
    """A scale bar of a round length, about a fifth of the image, readable on bright and dark tissue.

    Args:
        pixel_size: nm.
        location: corner of the axes, in Matplotlib's words.
    """
    look = {"color": "white", "box_color": "black", "box_alpha": 0.5}
    return ScaleBar(pixel_size, "nm", length_fraction=0.2, location=location, **look)
