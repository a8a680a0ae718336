"""A sheet of picture cells at whole pixels, several columns with their title to a block."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from gpemsr.benchmark.comparison import draw_scale_bar

DPI = 100
GAP = 6
TITLE = 38  # two lines
MARGIN = 22  # for the names of the tiers
FOOT = 22


class Sheet:
    """Panels side by side in blocks; each panel is a title over one cell a tier.

    Args:
        panels: how many.
        tiers: names of the cells of a panel, from top to bottom.
        cell: pixels of a cell's width.
        note: a line at the bottom, for the origin of the data.
        widest: panels side by side at most.
        height: pixels of a cell's height; ``cell`` if None.
    """

    def __init__(
        self,
        panels: int,
        tiers: Sequence[str],
        cell: int,
        note: str | None,
        widest: int = 5,
        height: int | None = None,
    ) -> None:
        self.tiers, self.cell, self.cell_height = tiers, cell, height or cell
        blocks = math.ceil(panels / widest)
        self.columns = math.ceil(panels / blocks)
        self.block = TITLE + len(tiers) * (self.cell_height + GAP) + GAP
        self.width = MARGIN + self.columns * (cell + GAP)
        self.height = blocks * self.block + (FOOT if note else 0)
        self.figure = Figure(figsize=(self.width / DPI, self.height / DPI), dpi=DPI, facecolor="white")
        for block in range(blocks):
            for tier, name in enumerate(tiers):
                middle = block * self.block + TITLE + tier * (self.cell_height + GAP) + self.cell_height / 2
                self._text(MARGIN / 2, middle, name, rotation=90, va="center", color="#333333")
        if note:
            self._text(MARGIN + self.columns * (cell + GAP) / 2, self.height - FOOT / 2, note, va="center", size=9)

    def title(self, panel: int, text: str) -> None:
        """Write one or two lines over a panel."""
        left, top = self.corner(panel, 0)
        self._text(left + self.cell / 2, top - 4, text, va="bottom", size=9.5)

    def axis(self, panel: int, tier: int) -> Axes:
        """The cell of a panel, without ticks."""
        left, top = self.corner(panel, tier)
        axis = self.figure.add_axes(self.place(left, top, self.cell, self.cell_height))
        axis.set_axis_off()
        return axis

    def place(self, left: float, top: float, width: float, height: float) -> tuple[float, float, float, float]:
        """Matplotlib's rectangle of one in pixels from the upper left."""
        return left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height

    def corner(self, panel: int, tier: int) -> tuple[int, int]:
        """Left and top of a cell in pixels."""
        block, column = divmod(panel, self.columns)
        return MARGIN + column * (self.cell + GAP), block * self.block + TITLE + tier * (self.cell_height + GAP)

    def _text(self, x: float, y: float, text: str, va: str, size: float = 9, **style) -> None:
        place = (x / self.width, 1 - y / self.height)
        self.figure.text(*place, text, ha="center", va=va, fontsize=size, **style)


def outlined_scale_bar(axis: Axes, extent: int, pixel_size: float, right: bool = False) -> None:
    """A scale bar that shows on bright tissue too."""
    draw_scale_bar(axis, extent, pixel_size, right)
    for line in axis.lines:
        line.set_path_effects([withStroke(linewidth=6, foreground="black")])
    for text in axis.texts:
        text.set_path_effects([withStroke(linewidth=2, foreground="black")])
