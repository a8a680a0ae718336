"""Pictures of sections: crops with their errors, and segments over a section; which sections is decided by a rule."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from skimage.color import label2rgb

from gpemsr.benchmark.comparison import BOX, most_detailed, scale_bar
from gpemsr.benchmark.report.plots import shown_name
from gpemsr.benchmark.report.results import Benchmark, Row, Segmentation
from gpemsr.benchmark.report.scores import BICUBIC, Scores
from gpemsr.benchmark.report.tables import number
from gpemsr.metrics.measures import MEASURES

DPI = 100
CELL = 2.4  # inches
CROP = 240  # HR pixels
ZOOM = 4  # the zoom shows a quarter of the crop's side
ERRORS = "magma"
SEGMENT_COLOURS = np.random.default_rng(0).uniform(0.15, 1, (60, 3))
Box = tuple[slice, slice]


def choose_sections(scores: Scores) -> tuple[dict[str, int], str]:
    """Best, median and worst section by the PSNR gain of the first trained method over bicubic, and the rule in words.

    Without one of the two the PSNR of the first method decides. Nothing is chosen if no PSNR was measured.
    """
    psnr, names = scores.of("psnr"), {row.slug: row.name for row in scores.benchmark.methods}
    measured = [slug for slug in scores.methods if psnr[slug].notna().any()]
    trained = [slug for slug in measured if slug != BICUBIC]
    ranked, rule = psnr.iloc[:0].sum(axis=1), ""
    if trained and BICUBIC in measured:
        ranked = (psnr[trained[0]] - psnr[BICUBIC]).dropna()
        rule = f"PSNR gain of {names[trained[0]]} over {names[BICUBIC]}"
    if ranked.empty and measured:
        ranked, rule = psnr[measured[0]].dropna(), f"PSNR of {names[measured[0]]}"
    order = [int(section) for section in ranked.sort_values(ascending=False, kind="stable").index]
    if len(order) < 3:
        return dict(zip(["only"] if len(order) == 1 else ["best", "worst"], order, strict=False)), rule
    return {"best": order[0], "median": order[(len(order) - 1) // 2], "worst": order[-1]}, rule


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
        scores: the benchmark's.
        index: of the section in the test set.
        hr: uint8 (y, x).
        lr: uint8 (y / scale, x / scale).
        images: slug to the row's section, uint8 (y, x).
    """
    benchmark = scores.benchmark
    crop, zoom = view_of(hr)
    panels: list[tuple[str, np.ndarray, Row | None]] = []
    if lr is not None:
        coarse = lr.repeat(benchmark.scale, 0).repeat(benchmark.scale, 1)[: hr.shape[0], : hr.shape[1]]
        panels.append((f"LR\n×{benchmark.scale} coarser", coarse, None))
    panels.append(("HR\n", hr, None))
    shown = [row for row in benchmark.scored if row.slug in images]
    panels += [(f"{shown_name(row)}\n{_scores(scores, row, index)}", images[row.slug], row) for row in shown]
    errors = {slug: np.abs(image.astype(float) - hr)[zoom] for slug, image in images.items()}
    greatest = max((float(np.percentile(error, 99)) for error in errors.values()), default=1.0)
    low, high = np.percentile(hr[crop], [0.5, 99.5])
    grey: dict[str, Any] = {"cmap": "gray", "vmin": low, "vmax": max(high, low + 1), "interpolation": "nearest"}
    figure, cells = _grid(len(panels), 3, widest=5)
    left, side = zoom[1].start - crop[1].start, zoom[1].stop - zoom[1].start
    for (title, image, row), (whole, detail, error) in zip(panels, cells, strict=True):
        whole.set_title(title, fontsize=9.5)
        whole.imshow(image[crop], **grey)
        corner = (left - 0.5, zoom[0].start - crop[0].start - 0.5)
        whole.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=BOX, linewidth=1.2))
        detail.imshow(image[zoom], **grey)
        if row is not None:
            drawn = error.imshow(errors[row.slug], cmap=ERRORS, vmin=0, vmax=max(greatest, 1), interpolation="nearest")
    if benchmark.pixel_size_nm:
        free = "lower right" if left + side / 2 < hr[crop].shape[1] / 2 else "lower left"
        cells[0][0].add_artist(scale_bar(benchmark.pixel_size_nm, free))
        cells[0][1].add_artist(scale_bar(benchmark.pixel_size_nm))
    if errors:
        bar = cells[0][2].inset_axes((0.05, 0.75, 0.9, 0.08))  # LR or HR, which has no error
        label = "|SR − HR|, grey levels"
        figure.colorbar(drawn, cax=bar, orientation="horizontal", extend="max").set_label(label, fontsize=9)
    return _with_note(figure, benchmark)


def plot_overlays(benchmark: Benchmark, segmenter: str, grey: np.ndarray, labels: Mapping[str, np.ndarray]) -> Figure:
    """Segments of a section, of the annotation (key ``""``) and of each row, over the HR section.

    Args:
        benchmark: whose rows they are.
        segmenter: its name.
        grey: HR, uint8 (y, x).
        labels: slug to ids (y, x), 0 for the background.
    """
    panels = [("HR\n", np.zeros(grey.shape, int))]
    if "" in labels:
        panels.append(("annotated\n", labels[""]))
    for row in benchmark.references + benchmark.scored:
        if row.slug in labels:
            scores = row.segmentation.get(segmenter, Segmentation())
            title = f"{row.name}, segmented" if row.kind == "hr" else shown_name(row)
            panels.append((f"{title}\n{_rand(scores)}", labels[row.slug]))
    figure, cells = _grid(len(panels), 1, widest=4, aspect=grey.shape[0] / grey.shape[1])
    for (title, ids), (axis,) in zip(panels, cells, strict=True):
        axis.set_title(title, fontsize=9.5)
        axis.imshow(overlay(ids, grey))
    if benchmark.pixel_size_nm:
        cells[0][0].add_artist(scale_bar(benchmark.pixel_size_nm))
    return _with_note(figure, benchmark)


def overlay(ids: np.ndarray, grey: np.ndarray) -> np.ndarray:
    """Colours of ids (y, x) over a section uint8 (y, x): float (y, x, 3) in [0, 1]; where the id is 0, grey alone."""
    return label2rgb(ids.astype(np.int64), grey / 255, SEGMENT_COLOURS, alpha=0.5, bg_label=0, bg_color=None)


def _box(corner: np.ndarray, side: int) -> Box:
    y, x = corner.tolist()
    return slice(y, y + side), slice(x, x + side)


def _grid(panels: int, tiers: int, widest: int, aspect: float = 1.0) -> tuple[Figure, list[list[Axes]]]:
    """A figure of panels side by side, in blocks of at most ``widest``; for each panel its cells from the top."""
    blocks = math.ceil(panels / widest)
    columns = math.ceil(panels / blocks)
    size = (CELL * columns, blocks * (tiers * CELL * aspect + 0.5) + 0.3)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    axes = figure.subplots(blocks * tiers, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    places = [divmod(panel, columns) for panel in range(panels)]
    return figure, [list(axes[block * tiers : (block + 1) * tiers, column]) for block, column in places]


def _with_note(figure: Figure, benchmark: Benchmark) -> Figure:
    if benchmark.note:
        figure.supxlabel(benchmark.note, fontsize=9)
    return figure


def _scores(scores: Scores, row: Row, index: int) -> str:
    """PSNR and SSIM of a section, as far as they were measured."""
    found = {name: scores.of(name)[row.slug][index] for name in ("psnr", "ssim")}
    texts = {"psnr": "{} dB", "ssim": "SSIM {}"}
    shown = {name: number(value, MEASURES[name].digits) for name, value in found.items() if np.isfinite(value)}
    return ", ".join(texts[name].format(text) for name, text in shown.items())


def _rand(scores: Segmentation) -> str:
    """Adapted Rand error, if there is one, and whether everything is one object."""
    rand = [] if scores.adapted_rand is None else [f"adapted Rand {scores.adapted_rand:.3f}"]
    return ", ".join([*rand, *(["one object"] if scores.one_object else [])])
