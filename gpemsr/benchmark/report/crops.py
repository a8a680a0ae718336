"""Sections side by side: a crop, a zoom on its most detailed place, and where each method errs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from gpemsr.benchmark.comparison import BOX, most_detailed
from gpemsr.benchmark.report.plots import shown_name
from gpemsr.benchmark.report.results import Benchmark, Row
from gpemsr.benchmark.report.sheet import FOOT, Sheet, outlined_scale_bar
from gpemsr.benchmark.report.tables import number
from gpemsr.metrics.measures import MEASURES

CELL = 240  # pixels
ZOOM = 4  # the zoom shows a quarter of the crop's side
ERRORS = "magma"


@dataclass(frozen=True)
class View:
    """Where to look in a section: a crop and the zoom within it, squares in HR pixels."""

    y: int
    x: int
    side: int
    zoom_y: int
    zoom_x: int
    zoom_side: int

    @property
    def box_is_left(self) -> bool:
        """Whether the zoom is from the left half of the crop."""
        return self.zoom_x - self.x + self.zoom_side / 2 < self.side / 2

    def crop(self, image: np.ndarray) -> np.ndarray:
        """The crop (side, side) of a section (y, x)."""
        return image[self.y : self.y + self.side, self.x : self.x + self.side]

    def zoom(self, image: np.ndarray) -> np.ndarray:
        """The zoom (zoom_side, zoom_side) of a section (y, x)."""
        return image[self.zoom_y : self.zoom_y + self.zoom_side, self.zoom_x : self.zoom_x + self.zoom_side]


def view_of(hr: np.ndarray) -> View:
    """The most detailed place of a section (y, x) off its border, in the midst of its surroundings."""
    side = min(CELL, *hr.shape)
    zoom = max(2, side // ZOOM)
    off = [min(zoom // 2, (extent - zoom) // 2) for extent in hr.shape]  # the border, as far as there is room
    inner = hr[off[0] : hr.shape[0] - off[0], off[1] : hr.shape[1] - off[1]]
    at_y, at_x = np.add(most_detailed(inner.astype(np.float32), zoom), off).tolist()
    y = min(max(0, at_y + zoom // 2 - side // 2), hr.shape[0] - side)
    x = min(max(0, at_x + zoom // 2 - side // 2), hr.shape[1] - side)
    return View(y, x, side, at_y, at_x, zoom)


def plot_crops(
    benchmark: Benchmark, index: int, hr: np.ndarray, lr: np.ndarray | None, images: Mapping[str, np.ndarray]
) -> Figure:
    """LR, HR, and every row that has a picture.

    Args:
        index: of the section in the test set.
        hr: uint8 (y, x).
        lr: uint8 (y / scale, x / scale).
        images: slug to the row's section, uint8 (y, x).
    """
    view = view_of(hr)
    rows = [row for row in benchmark.scored if row.slug in images]
    panels: list[tuple[str, np.ndarray, Row | None]] = []
    if lr is not None:
        coarse = np.kron(lr, np.ones((benchmark.scale, benchmark.scale), np.uint8))[: hr.shape[0], : hr.shape[1]]
        panels.append((f"LR\n×{benchmark.scale} coarser", coarse, None))
    hr_place = len(panels)
    panels.append(("HR\n", hr, None))
    panels += [(f"{shown_name(row)}\n{_scores(row, index)}", images[row.slug], row) for row in rows]
    errors = {row.slug: np.abs(images[row.slug].astype(float) - hr) for row in rows}
    greatest = max((float(np.percentile(view.zoom(error), 99)) for error in errors.values()), default=1.0)
    scale = Normalize(0, max(greatest, 1.0))
    tiers = ["crop", f"zoom ×{view.side // view.zoom_side}", "|SR − HR|"]
    sheet = Sheet(len(panels), tiers, CELL, benchmark.note)
    low, high = np.percentile(view.crop(hr), [0.5, 99.5])
    grey = {"cmap": "gray", "vmin": low, "vmax": max(high, low + 1), "interpolation": "nearest"}
    for place, (title, image, row) in enumerate(panels):
        sheet.title(place, title)
        crop, zoom = sheet.axis(place, 0), sheet.axis(place, 1)
        crop.imshow(view.crop(image), **grey)
        box = (view.zoom_x - view.x - 0.5, view.zoom_y - view.y - 0.5)
        crop.add_patch(Rectangle(box, view.zoom_side, view.zoom_side, fill=False, edgecolor=BOX, linewidth=1.2))
        zoom.imshow(view.zoom(image), **grey)
        if row is not None:
            error = sheet.axis(place, 2)
            error.imshow(view.zoom(errors[row.slug]), cmap=ERRORS, norm=scale, interpolation="nearest")
        if place == 0 and benchmark.pixel_size_nm:
            outlined_scale_bar(crop, view.side, benchmark.pixel_size_nm, right=view.box_is_left)
            outlined_scale_bar(zoom, view.zoom_side, benchmark.pixel_size_nm)
    if rows:
        left, top = sheet.corner(hr_place, 2)
        bar = sheet.figure.add_axes(sheet.place(left + 12, top + 20, CELL - 24, FOOT - 6))
        sheet.figure.colorbar(ScalarMappable(scale, ERRORS), cax=bar, orientation="horizontal", extend="max")
        bar.set_xlabel("error in grey levels (of 0 to 255)", fontsize=9)
        bar.tick_params(labelsize=8.5)
    return sheet.figure


def _scores(row: Row, index: int) -> str:
    """PSNR and SSIM of a section, as far as they were measured."""
    texts = []
    for name in ("psnr", "ssim"):
        values = row.values(name)
        if name in MEASURES and index < len(values) and np.isfinite(values[index]):
            measure = MEASURES[name]
            value = number(values[index], measure.digits)
            texts.append(f"{value} {measure.unit}" if measure.unit else f"{measure.label} {value}")
    return ", ".join(texts)
