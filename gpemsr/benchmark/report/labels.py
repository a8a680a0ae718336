"""Names beside the points of a plot, none over another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

GAPS = (8, 16, 26, 38, 52)  # points between a point and its name
NEAR = 8
SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
MARKER = 6  # radius in pixels
APART = (12, 4)  # pixels between names, and to the frame


def place_labels(axis: Axes, points: Sequence[tuple[float, float, str, str]], fontsize: float = 9) -> None:
    """Write each point's name where it hides no point and no other name, with a line to it where that is far.

    Args:
        axis: with its limits and scales set.
        points: x, y, name and colour.
    """
    figure = axis.get_figure()
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    per_point = figure.dpi / 72
    places = [axis.transData.transform((x, y)) for x, y, _, _ in points]
    taken = [Bbox.from_extents(x - MARKER, y - MARKER, x + MARKER, y + MARKER) for x, y in places]
    frame = axis.get_window_extent()
    for (x, y, name, colour), place in zip(points, places, strict=True):
        label = axis.text(x, y, name, fontsize=fontsize)
        size = np.add(label.get_window_extent().size, APART)
        label.remove()
        boxes = [(gap, shift, _box(place + per_point * shift, size)) for gap, shift in _shifts(size / per_point)]
        free = [found for found in boxes if _fits(found[2], frame) and not any(map(found[2].overlaps, taken))]
        gap, shift, box = (free or boxes)[0]
        taken.append(box)
        line = {"arrowstyle": "-", "color": colour, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 4}
        axis.annotate(
            name,
            (x, y),
            tuple(shift),
            textcoords="offset points",
            fontsize=fontsize,
            color="#222222",
            ha="center",
            va="center",
            arrowprops=line if gap > NEAR else None,
        )


def _shifts(size: np.ndarray) -> Iterator[tuple[float, np.ndarray]]:
    """Gaps and vectors from the point to the middle of a name of a size (x, y), in points, the nearest first."""
    for gap in GAPS:
        for side in SIDES:
            yield gap, np.array(side) * (size / 2 + (gap if side[1] == 0 else gap / 2))


def _box(middle: np.ndarray, size: np.ndarray) -> Bbox:
    return Bbox([middle - size / 2, middle + size / 2])


def _fits(box: Bbox, frame: Bbox) -> bool:
    return bool(box.x0 >= frame.x0 and box.x1 <= frame.x1 and box.y0 >= frame.y0 and box.y1 <= frame.y1)
