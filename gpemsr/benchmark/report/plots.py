"""Plots of the scores: measures as bars, PSNR against time, Fourier ring correlation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from adjustText import adjust_text
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from gpemsr.benchmark.report.results import Row
from gpemsr.benchmark.report.scores import BICUBIC, Scores
from gpemsr.benchmark.report.tables import COMPARED, number
from gpemsr.metrics.frc import THRESHOLD, ring_correlation
from gpemsr.metrics.measures import MEASURES

DPI = 110
# Okabe and Ito's colours without yellow and black, grey, then four of Tol's, for colour-blind readers too
COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#777777"),
    *("#882255", "#999933", "#332288", "#CC6677"),
)
MARKERS = "osD^vPX<>p"
DASHES = ("-", "--", "-.", ":")


def colours(rows: list[Row]) -> dict[str, str]:
    """A colour for each row's slug, the same in every plot."""
    return {row.slug: COLOURS[index % len(COLOURS)] for index, row in enumerate(rows)}


def shown_name(row: Row, width: int = 28) -> str:
    """A row's label with a shortened name, safe from Matplotlib's formulas."""
    name = row.name if len(row.name) <= width else f"{row.name[: width - 1]}…"
    return (name + row.label.removeprefix(row.name)).replace("$", r"\$")


def plot_bars(scores: Scores) -> Figure | None:
    """Means with the standard deviation over the sections, one panel a measure; None if nothing was measured.

    Decibels have no natural zero: their bars are the gain over bicubic, section by section, if that was measured.
    """
    rows, colour = scores.benchmark.scored, colours(scores.benchmark.scored)
    names = [name for name in COMPARED if scores.of(name).notna().any(axis=None)]
    if not names:
        return None
    figure = Figure(figsize=(10.5, 1.0 + 0.36 * len(rows)), dpi=DPI, layout="constrained")
    for axis, name in zip(figure.subplots(1, len(names), sharey=True, squeeze=False)[0], names, strict=True):
        measure, values, above = MEASURES[name], scores.of(name), ""
        if measure.unit == "dB" and BICUBIC in values and values[BICUBIC].notna().any():
            values = values.sub(values[BICUBIC], axis=0)
            above = " above bicubic"
        mean, deviation = values.mean(), values.std().fillna(0)
        bars = axis.barh(
            range(len(rows)),
            mean,
            0.7,
            xerr=deviation,
            color=list(colour.values()),
            hatch=["///" if row.kind == "oracle" else "" for row in rows],
            edgecolor="white",
            linewidth=0,
            error_kw={"ecolor": "#222222", "elinewidth": 1, "capsize": 3},
        )
        texts = [f"{'+' if above and value > 0 else ''}{number(value, measure.digits)}" for value in mean]
        axis.bar_label(bars, texts, padding=4, fontsize=8.5)
        for place in np.flatnonzero(mean.isna()):
            axis.annotate(" not measured", (0, place), va="center", fontsize=8, color="#555555")
        axis.margins(x=0.25)
        unit = f" ({measure.unit})" if measure.unit else ""
        better = "higher" if measure.higher_is_better else "lower"
        axis.set_title(f"{measure.label}{above}{unit}, {better} is better", fontsize=10)
        axis.set_yticks(range(len(rows)), [shown_name(row) for row in rows], fontsize=9)
        axis.tick_params(axis="x", labelsize=8)
        _plain(axis, "x")
        axis.axvline(0, color="black", linewidth=0.8)
        axis.spines["left"].set_visible(bool((mean.dropna() >= 0).all()))
    axis.invert_yaxis()
    return figure


def plot_time(scores: Scores) -> Figure | None:
    """PSNR against seconds per section; None if no row has both."""
    rows, colour = scores.benchmark.scored, colours(scores.benchmark.scored)
    seconds, psnr = scores.of("seconds").mean(), scores.of("psnr").mean()
    if not ((seconds > 0) & psnr.notna()).any():
        return None
    figure = Figure(figsize=(7.6, 4.6), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())
    drawn, texts = [], []
    for index, row in enumerate(rows):
        x, y = seconds[row.slug], psnr[row.slug]
        if x > 0 and np.isfinite(y):
            drawn += axis.plot(
                x, y, MARKERS[index % len(MARKERS)], color=colour[row.slug], markersize=8, markeredgecolor="white"
            )
            texts.append(axis.text(x, y, shown_name(row), fontsize=9))
    axis.margins(x=0.2, y=0.15)
    axis.set_xlabel("seconds per section (logarithmic)")
    axis.set_ylabel("PSNR (dB)")
    _plain(axis, "both")
    figure.draw_without_rendering()  # fixes the layout that the labels are placed in
    lines = {"arrowstyle": "-", "color": "#888888"}
    adjust_text(texts, ax=axis, objects=drawn, expand=(1.2, 1.8), arrowprops=lines)
    return figure


def plot_frc(scores: Scores, hr: np.ndarray, stacks: Mapping[str, np.ndarray]) -> Figure | None:
    """Fourier ring correlation with the HR sections, the mean over these; None without stacks.

    Args:
        scores: the benchmark's.
        hr: uint8 (z, y, x).
        stacks: slug to the row's sections, uint8 (z, y, x).
    """
    benchmark = scores.benchmark
    rows, colour = [row for row in benchmark.scored if row.slug in stacks], colours(benchmark.scored)
    if not rows:
        return None
    figure = Figure(figsize=(9.4, 4.6), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    for index, row in enumerate(rows):
        curves = [ring_correlation(sr, section) for sr, section in zip(stacks[row.slug], hr, strict=True)]
        axis.plot(
            curves[0].frequency,
            np.mean([curve.correlation for curve in curves], axis=0),
            DASHES[index % len(DASHES)],
            color=colour[row.slug],
            linewidth=1.0 if row.kind == "oracle" else 1.8,
            label=shown_name(row),
        )
    axis.set_xlim(0, 0.5)
    axis.set_ylim(min(-0.05, axis.get_ylim()[0]), 1.02)
    axis.axhline(THRESHOLD, color="#555555", linewidth=0.9)
    axis.text(0.498, THRESHOLD + 0.015, "1/7", ha="right", fontsize=9, color="#333333")
    axis.axvline(0.5 / benchmark.scale, color="#555555", linewidth=1, linestyle=":", label="limit of LR sampling")
    axis.set_xlabel("spatial frequency (cycles per HR pixel)")
    axis.set_ylabel("correlation with the HR sections")
    if size := benchmark.pixel_size_nm:
        above = axis.secondary_xaxis("top")
        ticks = np.array([0.0625, 0.125, 0.1875, 0.25, 0.375, 0.5])
        above.set_xticks(ticks, [f"{size / tick:.3g}" for tick in ticks], fontsize=8.5)
        above.set_xlabel("period (nm)", fontsize=9)
    _plain(axis, "both")
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    return figure


def _plain(axis: Axes, grid: str) -> None:
    """Light grid behind, no box."""
    axis.set_axisbelow(True)
    axis.grid(axis=grid, color="#dddddd", linewidth=0.7)  # type: ignore[arg-type]
    axis.spines[["top", "right"]].set_visible(False)
