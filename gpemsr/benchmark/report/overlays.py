"""Segments over a section: the annotated ones beside those found in each row's sections."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure

from gpemsr.benchmark.options import slug
from gpemsr.benchmark.report.plots import shown_name
from gpemsr.benchmark.report.results import Benchmark, Segmentation
from gpemsr.benchmark.report.sheet import Sheet, outlined_scale_bar

CELL = 280  # pixels
COLOURS = 61
OPACITY = 0.5


def colour_map() -> np.ndarray:
    """Fixed random colours, float (COLOURS, 3) in [0, 1]."""
    random = np.random.default_rng(0)
    hue = random.permutation(COLOURS) / COLOURS
    return hsv_to_rgb(np.stack([hue, random.uniform(0.55, 1, COLOURS), random.uniform(0.7, 1, COLOURS)], 1))


def overlay(ids: np.ndarray, grey: np.ndarray) -> np.ndarray:
    """Colours of ids (y, x) over a section uint8 (y, x): float (y, x, 3) in [0, 1]; where the id is 0, grey alone."""
    background = np.repeat(grey[..., None] / 255, 3, axis=2)
    colours = colour_map()[ids.astype(np.int64) % COLOURS]
    return np.where(ids[..., None] > 0, OPACITY * colours + (1 - OPACITY) * background, background)


def plot_overlays(benchmark: Benchmark, segmenter: str, hr: np.ndarray | None) -> tuple[Figure, int] | None:
    """The middle section of those segmented, and its index; None if there is none.

    Args:
        hr: stack, uint8 (z, y, x).
    """
    name = f"segmentation_{slug(segmenter)}.tif"
    found = {
        row.slug: stack
        for row in benchmark.scored + benchmark.references
        if (stack := benchmark.row_stack(row, name)) is not None
    }
    if hr is None or not found:
        return None
    depth = len(next(iter(found.values())))
    first = benchmark.segmented[0] if benchmark.segmented else 0
    index = first + depth // 2
    found = {slug: stack for slug, stack in found.items() if stack.shape == (depth, *hr.shape[1:])}
    if index >= len(hr) or not found:
        return None
    grey = hr[index]
    panels = [("HR", np.zeros(grey.shape, int))]
    ids = benchmark.stack(benchmark.ids)
    if ids is not None and ids.shape[1:] == grey.shape and len(ids) in (depth, len(hr)):
        panels.append(("annotated", ids[depth // 2 if len(ids) == depth else index]))
    for row in benchmark.references + benchmark.scored:
        if row.slug in found:
            title = f"{row.name}, segmented" if row.kind == "hr" else shown_name(row)
            scores = row.segmentation.get(segmenter)
            panels.append((f"{title}\n{_score(scores) if scores else ''}", found[row.slug][depth // 2]))
    height = round(CELL * min(1, grey.shape[0] / grey.shape[1]))
    sheet = Sheet(len(panels), [""], CELL, benchmark.note, widest=4, height=height)
    for place, (title, labels) in enumerate(panels):
        sheet.title(place, title if "\n" in title else f"{title}\n")
        axis = sheet.axis(place, 0)
        axis.imshow(overlay(labels, grey))
        if place == 0 and benchmark.pixel_size_nm:
            outlined_scale_bar(axis, grey.shape[1], benchmark.pixel_size_nm)
    return sheet.figure, index


def _score(scores: Segmentation) -> str:
    """Adapted Rand error, if there is one, and whether anything was told apart at all."""
    rand = [] if scores.adapted_rand is None else [f"adapted Rand {scores.adapted_rand:.3f}"]
    return ", ".join([*rand, *(["one object"] if scores.one_object else [])])
