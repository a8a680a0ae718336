"""Pictures of sections: crops with their errors, and segments over a section; which sections is decided by a rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from skimage.color import label2rgb

from gpemsr.benchmark.panels import Box, most_detailed, panel_grid, scale_bar, show_with_zoom
from gpemsr.benchmark.report.plots import shown_name
from gpemsr.benchmark.report.results import Benchmark, Row
from gpemsr.benchmark.report.scores import BICUBIC, Scores
from gpemsr.benchmark.report.text import number

CELL = 2.4  # inches
CROP = 240  # HR pixels
ZOOM = 4  # the zoom shows a quarter of the crop's side
ERRORS = "magma"
SEGMENT_COLOURS = np.random.default_rng(0).uniform(0.15, 1, (60, 3))


def choose_sections(scores: Scores) -> tuple[dict[str, int], str]:
    """Best, median and worst section by the PSNR gain of the first trained method over bicubic, and the rule in words.

    Without one of the two the PSNR of the first method decides. Nothing is chosen if no PSNR was measured.
    """
    names = {row.slug: row.name for row in scores.benchmark.finished("method")}
    psnr = scores.of("psnr")[list(names)].dropna(axis=1, how="all")
    if psnr.empty:
        return {}, ""
    first = next((slug for slug in psnr if slug != BICUBIC), BICUBIC)
    ranked, rule = psnr[first].dropna(), f"PSNR of {names[first]}"
    if first != BICUBIC and BICUBIC in psnr and len(gains := (psnr[first] - psnr[BICUBIC]).dropna()):
        ranked, rule = gains, f"PSNR gain of {names[first]} over {names[BICUBIC]}"
    order = [int(section) for section in ranked.sort_values(ascending=False, kind="stable").index]
    best, median, worst = order[0], order[(len(order) - 1) // 2], order[-1]
    ranks = {worst: "worst", median: "median", best: "best"}  # of one or two sections the better rank counts
    return {ranks[section]: section for section in (best, median, worst)}, rule


def view_of(hr: np.ndarray) -> tuple[Box, Box]:
    """A crop of a section (y, x) and, in its middle if possible, the most detailed place off the section's border."""
    side = min(CROP, *hr.shape)
    zoom = max(2, side // ZOOM)
    margin = np.array([min(zoom // 2, (extent - zoom) // 2) for extent in hr.shape])
    inner = hr[margin[0] : hr.shape[0] - margin[0], margin[1] : hr.shape[1] - margin[1]]
    corner = margin + most_detailed(inner.astype(np.float32), zoom)
    start = np.clip(corner + zoom // 2 - side // 2, 0, np.subtract(hr.shape, side))
    return _box(start, side), _box(corner, zoom)


def plot_crops(
    scores: Scores, index: int, hr: np.ndarray, lr: np.ndarray | None, images: Mapping[str, np.ndarray]
) -> Figure:
    """LR, HR, and every row that has an image: a crop, a zoom, and the error within the zoom.

    Args:
        index: of the section in the test set.
        hr: uint8 (y, x).
        lr: uint8 (y / scale, x / scale).
        images: slug to the row's section, uint8 (y, x).
    """
    benchmark = scores.benchmark
    crop, zoom = view_of(hr)
    panels: list[tuple[str, np.ndarray, Row | None]] = [("HR\n", hr, None)]
    if lr is not None:
        coarse = lr.repeat(benchmark.scale, 0).repeat(benchmark.scale, 1)
        panels.insert(0, (f"LR\n×{benchmark.scale} coarser", coarse, None))
    shown = [row for row in benchmark.scored if row.slug in images]
    panels += [(f"{shown_name(row)}\n{_scores(scores, row, index)}", images[row.slug], row) for row in shown]
    errors = {slug: np.abs(image.astype(float) - hr)[zoom] for slug, image in images.items()}
    greatest = max((float(np.percentile(error, 99)) for error in errors.values()), default=1.0)
    low, high = np.percentile(hr[crop], [0.5, 99.5])
    grey: dict[str, Any] = {"cmap": "gray", "vmin": low, "vmax": max(high, low + 1), "interpolation": "nearest"}
    figure, cells = panel_grid(len(panels), 3, 5, CELL)
    for (title, image, row), (whole, detail, error) in zip(panels, cells, strict=True):
        whole.set_title(title, fontsize=9.5)
        show_with_zoom(whole, detail, image, crop, zoom, grey)
        if row is not None:
            drawn = error.imshow(errors[row.slug], cmap=ERRORS, vmin=0, vmax=max(greatest, 1), interpolation="nearest")
    if benchmark.pixel_size_nm:
        is_left = zoom[1].start + zoom[1].stop < crop[1].start + crop[1].stop
        cells[0][0].add_artist(scale_bar(benchmark.pixel_size_nm, "lower right" if is_left else "lower left"))
        cells[0][1].add_artist(scale_bar(benchmark.pixel_size_nm))
    if errors:
        bar = cells[0][2].inset_axes((0.05, 0.75, 0.9, 0.08))  # LR or HR, which has no error
        label = "|SR − HR|, grey levels"
        figure.colorbar(drawn, cax=bar, orientation="horizontal", extend="max").set_label(label, fontsize=9)
    figure.supxlabel(benchmark.note or "", fontsize=9)
    return figure


def plot_overlays(benchmark: Benchmark, segmenter: str, grey: np.ndarray, labels: Mapping[str, np.ndarray]) -> Figure:
    """Segments of a section, of the annotation (key ``""``) and of each row, over the HR section.

    Args:
        grey: HR, uint8 (y, x).
        labels: slug to ids (y, x), 0 for the background.
    """
    panels = [("HR\n", np.zeros(grey.shape, int))]
    if "" in labels:
        panels.append(("annotated\n", labels[""]))
    for row in benchmark.finished("hr", "method", "oracle"):
        if row.slug in labels:
            rand = row.segmentation.get(segmenter, {}).get("adapted_rand")
            title = f"{row.name}, segmented" if row.kind == "hr" else shown_name(row)
            panels.append((f"{title}\nadapted Rand {number(rand, 3)}", labels[row.slug]))
    figure, cells = panel_grid(len(panels), 1, 4, CELL, grey.shape[0] / grey.shape[1])
    for (title, ids), (axis,) in zip(panels, cells, strict=True):
        axis.set_title(title, fontsize=9.5)
        axis.imshow(overlay(ids, grey))
    if benchmark.pixel_size_nm:
        cells[0][0].add_artist(scale_bar(benchmark.pixel_size_nm))
    figure.supxlabel(benchmark.note or "", fontsize=9)
    return figure


def overlay(ids: np.ndarray, grey: np.ndarray) -> np.ndarray:
    """Colours of ids (y, x) over a section uint8 (y, x): float (y, x, 3) in [0, 1]; where the id is 0, grey alone."""
    return label2rgb(ids.astype(np.int64), grey / 255, SEGMENT_COLOURS, alpha=0.5, bg_label=0, bg_color=None)


def _box(corner: np.ndarray, side: int) -> Box:
    y, x = corner.tolist()
    return slice(y, y + side), slice(x, x + side)


def _scores(scores: Scores, row: Row, index: int) -> str:
    """PSNR and SSIM of a section; a dash where not measured."""
    psnr, ssim = (scores.of(name)[row.slug][index] for name in ("psnr", "ssim"))
    return f"{number(psnr, 2)} dB, SSIM {number(ssim, 4)}"
