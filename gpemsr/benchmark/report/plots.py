"""Plots of the scores: measures as bars, PSNR against time, Fourier ring correlation."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

import matplotlib as mpl
import numpy as np
from adjustText import adjust_text
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from gpemsr.benchmark.report.results import Row
from gpemsr.benchmark.report.scores import BICUBIC, Scores
from gpemsr.benchmark.report.tables import COMPARED
from gpemsr.benchmark.report.text import number
from gpemsr.metrics.frc import THRESHOLD, ring_correlation
from gpemsr.metrics.measures import MEASURES

DPI = 110
NAME_WIDTH = 28  # characters
LOOK: dict[Any, Any] = {"axes.axisbelow": True, "grid.color": "#dddddd", "grid.linewidth": 0.7, "font.size": 9}
LOOK |= {"axes.spines.top": False, "axes.spines.right": False}
# Okabe and Ito's colours without yellow and black, grey, then four of Tol's, for colour-blind readers too
COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#777777"),
    *("#882255", "#999933", "#332288", "#CC6677"),
)
MARKERS = "osD^vPX<>p"
DASHES = ("-", "--", "-.", ":")
PERIODS = np.array([0.0625, 0.125, 0.1875, 0.25, 0.375, 0.5])  # ticks, cycles per pixel


def colours(rows: list[Row]) -> dict[str, str]:
    """A colour for each row's slug, the same in every plot."""
    return dict(zip((row.slug for row in rows), cycle(COLOURS), strict=False))


def shown_name(row: Row) -> str:
    """A row's label with a shortened name, safe from Matplotlib's formulas."""
    name = row.name if len(row.name) <= NAME_WIDTH else f"{row.name[: NAME_WIDTH - 1]}…"
    return (name + row.label.removeprefix(row.name)).replace("$", r"\$")


def new_plot(width: float, height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure (inches) with a light grid and no boxes."""
    with mpl.rc_context(LOOK):
        figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
        axes = figure.subplots(1, columns, sharey=True, squeeze=False)[0]
        for axis in axes:
            axis.grid(axis="x" if columns > 1 else "both")
    return figure, list(axes)


def plot_bars(scores: Scores) -> Figure | None:
    """Means with the standard deviation over the sections, one panel a measure; None if nothing was measured.

    Decibels have no natural zero: their bars are the gain over bicubic, section by section, if that was measured.
    """
    rows = scores.benchmark.scored
    names = [name for name in COMPARED if scores.of(name).notna().any(axis=None)]
    if not names:
        return None
    figure, axes = new_plot(10.5, 1.0 + 0.36 * len(rows), len(names))
    for axis, name in zip(axes, names, strict=True):
        measure, values, above = MEASURES[name], scores.of(name), ""
        if measure.unit == "dB" and BICUBIC in values and values[BICUBIC].notna().any():
            values, above = values.sub(values[BICUBIC], axis=0), " above bicubic"
        mean = values.mean()
        bars = axis.barh(
            range(len(rows)),
            mean,
            0.7,
            xerr=values.std().fillna(0),
            color=list(colours(rows).values()),
            hatch=["///" if row.kind == "oracle" else "" for row in rows],
            edgecolor="white",
            linewidth=0,
            error_kw={"ecolor": "#222222", "elinewidth": 1, "capsize": 3},
        )
        texts = [f"{'+' if above and value > 0 else ''}{number(value, measure.digits)}" for value in mean]
        axis.bar_label(bars, texts, padding=4)
        axis.margins(x=0.4)
        unit = f" ({measure.unit})" if measure.unit else ""
        better = "higher" if measure.higher_is_better else "lower"
        axis.set_title(f"{measure.label}{above}{unit}, {better} is better", fontsize=10)
        axis.set_yticks(range(len(rows)), [shown_name(row) for row in rows])
        axis.axvline(0, color="black", linewidth=0.8)
        axis.spines["left"].set_visible(False)
    axis.invert_yaxis()
    return figure


def plot_time(scores: Scores) -> Figure | None:
    """PSNR against seconds per section; None if no row has both."""
    rows = scores.benchmark.scored
    seconds, psnr = scores.of("seconds").mean(), scores.of("psnr").mean()
    known = [row for row in rows if seconds[row.slug] > 0 and np.isfinite(psnr[row.slug])]
    if not known:
        return None
    figure, (axis,) = new_plot(7.6, 4.6)
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())
    drawn, texts = [], []
    for row, marker in zip(known, cycle(MARKERS), strict=False):
        place = seconds[row.slug], psnr[row.slug]
        drawn += axis.plot(*place, marker, color=colours(rows)[row.slug], markersize=8, markeredgecolor="white")
        texts.append(axis.text(*place, shown_name(row)))
    axis.margins(x=0.2, y=0.15)
    axis.set_xlabel("seconds per section (logarithmic)")
    axis.set_ylabel("PSNR (dB)")
    figure.draw_without_rendering()  # fixes the layout that the labels are placed in
    lines = {"arrowstyle": "-", "color": "#888888"}
    adjust_text(texts, ax=axis, objects=drawn, expand=(1.2, 1.8), arrowprops=lines)
    return figure


def plot_frc(scores: Scores) -> Figure | None:
    """Fourier ring correlation with the HR sections, the mean over these; None without stacks."""
    benchmark = scores.benchmark
    hr, stacks = benchmark.stack(benchmark.hr), benchmark.super_resolved()
    rows = [row for row in benchmark.scored if row.slug in stacks]
    if hr is None or not rows:
        return None
    figure, (axis,) = new_plot(9.4, 4.6)
    for row, dash in zip(rows, cycle(DASHES), strict=False):
        curves = [ring_correlation(sr, section) for sr, section in zip(stacks[row.slug], hr, strict=True)]
        mean = np.mean([curve.correlation for curve in curves], axis=0)
        colour, width = colours(benchmark.scored)[row.slug], 1.0 if row.kind == "oracle" else 1.8
        axis.plot(curves[0].frequency, mean, dash, color=colour, linewidth=width, label=shown_name(row))
    axis.set_xlim(0, 0.5)
    axis.set_ylim(min(-0.05, axis.get_ylim()[0]), 1.02)
    axis.axhline(THRESHOLD, color="#555555", linewidth=0.9)
    axis.text(0.498, THRESHOLD + 0.015, "1/7", ha="right", color="#333333")
    axis.axvline(0.5 / benchmark.scale, color="#555555", linewidth=1, linestyle=":", label="limit of LR sampling")
    axis.set_xlabel("spatial frequency (cycles per HR pixel)")
    axis.set_ylabel("correlation with the HR sections")
    if size := benchmark.pixel_size_nm:
        above = axis.secondary_xaxis("top")
        above.set_xticks(PERIODS, [f"{size / tick:.3g}" for tick in PERIODS])
        above.set_xlabel("period (nm)")
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure


# name of the file and of the caption, title, plot
PLOTS: dict[str, tuple[str, Callable[[Scores], Figure | None]]] = {
    "measures": ("Measures", plot_bars),
    "psnr_seconds": ("PSNR against time", plot_time),
    "frc": ("Fourier ring correlation with HR", plot_frc),
}
