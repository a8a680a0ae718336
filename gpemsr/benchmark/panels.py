"""Pictures that show several images of one section next to each other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib_scalebar.scalebar import ScaleBar

DPI = 100
BOX = "#ffb000"
Box = tuple[slice, slice]


def panel_grid(panels: int, tiers: int, widest: int, cell: float, aspect: float = 1.0) -> tuple[Figure, list[Any]]:
    """A figure with ``tiers`` axes for each panel, one below the other, in blocks of at most ``widest`` panels.

    Args:
        cell: width of an axis (inches).
        aspect: its height by its width.

    Returns:
        The figure, and for each panel its axes from the top.
    """
    blocks = math.ceil(panels / widest)
    columns = math.ceil(panels / blocks)
    size = (cell * columns, blocks * (tiers * cell * aspect + 0.5) + 0.3)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    axes = figure.subplots(blocks * tiers, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    places = [divmod(panel, columns) for panel in range(panels)]
    return figure, [list(axes[block * tiers : (block + 1) * tiers, column]) for block, column in places]


def show_with_zoom(whole: Axes, detail: Axes, image: np.ndarray, crop: Box, zoom: Box, look: Mapping[str, Any]) -> None:
    """Draw a crop of an image (y, x) with a box around ``zoom``, and the zoom itself."""
    whole.imshow(image[crop], **look)
    height, width = (inner.stop - inner.start for inner in zoom)
    y, x = (inner.start - outer.start - 0.5 for inner, outer in zip(zoom, crop, strict=True))
    whole.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=BOX, linewidth=1.5))
    detail.imshow(image[zoom], **look)


def most_detailed(image: np.ndarray, side: int) -> tuple[int, int]:
    """Top-left corner (y, x) of the square whose gradient is strongest, on a grid of half its side."""
    gradient = np.hypot(*np.gradient(image))
    windows = np.lib.stride_tricks.sliding_window_view(gradient, (side, side))[:: side // 2, :: side // 2]
    y, x = np.unravel_index(windows.sum((2, 3)).argmax(), windows.shape[:2])
    return int(y) * (side // 2), int(x) * (side // 2)


def scale_bar(pixel_size: float, location: str = "lower left") -> ScaleBar:
    """A scale bar of a round length, about a fifth of the image, readable on bright and dark tissue.

    Args:
        pixel_size: nm.
        location: corner of the axes, in Matplotlib's words.
    """
    look = {"color": "white", "box_color": "black", "box_alpha": 0.5}
    return ScaleBar(pixel_size, "nm", length_fraction=0.2, location=location, **look)
