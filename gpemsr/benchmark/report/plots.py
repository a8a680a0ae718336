"""Plots of the figures: measures as bars, PSNR against time, Fourier ring correlation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from gpemsr.benchmark.report.labels import place_labels
from gpemsr.benchmark.report.results import Benchmark, Row
from gpemsr.benchmark.report.summary import BASELINE, summarise
from gpemsr.benchmark.report.tables import number
from gpemsr.metrics.frc import THRESHOLD, ring_correlation
from gpemsr.metrics.measures import MEASURES

DPI = 110
SHOWN = ("psnr", "ssim", "frc_nm")
# Okabe and Ito's colours without yellow and black, grey, then four of Tol's: told apart by colour-blind readers too
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#777777")
MORE_COLOURS = ("#882255", "#999933", "#332288", "#CC6677")
MARKERS = "osD^vPX<>p"
DASHES = ("-", "--", "-.", ":")


def colours(rows: list[Row]) -> dict[str, str]:
    """A colour for each row's slug, the same in every plot."""
    palette = COLOURS + MORE_COLOURS
    return {row.slug: palette[index % len(palette)] for index, row in enumerate(rows)}


def plot_bars(benchmark: Benchmark) -> Figure | None:
    """Bars with the spread over the sections, one panel a measure; None if nothing was measured.

    Decibels have no zero to start from: their bars are what is gained over bicubic, section by section, if it was
    measured.
    """
    rows = benchmark.scored
    names = [name for name in SHOWN if name in MEASURES and any(summarise(row.values(name)) for row in rows)]
    if not names:
        return None
    colour = colours(rows)
    figure = Figure(figsize=(10.5, 1.0 + 0.36 * len(rows)), dpi=DPI, layout="constrained")
    for axis, name in zip(figure.subplots(1, len(names), sharey=True, squeeze=False)[0], names, strict=True):
        measure = MEASURES[name]
        known = [row for row in rows if row.slug == BASELINE and summarise(row.values(name))]
        base = known[0] if known and measure.unit == "dB" else None
        starts, ends = [0.0], [0.0]
        for place, row in enumerate(rows):
            values = row.values(name)
            summary = summarise(values - base.values(name) if base and len(values) else values)
            if summary is None:
                axis.text(
                    0,
                    place,
                    " not measured",
                    transform=axis.get_yaxis_transform(),
                    va="center",
                    fontsize=8,
                    color="#555555",
                )
                continue
            std = summary.std or 0.0
            hatch = "///" if row.kind == "oracle" else None
            axis.barh(place, summary.mean, 0.7, color=colour[row.slug], hatch=hatch, edgecolor="white", linewidth=0)
            axis.errorbar(summary.mean, place, xerr=std, color="#222222", linewidth=1, capsize=3)
            starts.append(summary.mean - std)
            ends.append(summary.mean + std)
            sign = "+" if base and summary.mean > 0 else ""
            label = f"  {sign}{number(summary.mean, measure.digits)}"
            axis.text(max(0.0, ends[-1]), place, label, va="center", fontsize=8.5)
        low, width = min(starts), max(ends) - min(starts) or 1.0
        axis.set_xlim(low - (0.05 * width if low < 0 else 0), max(ends) + 0.28 * width)
        unit = f" ({measure.unit})" if measure.unit else ""
        better = "higher" if measure.higher_is_better else "lower"
        above = f" above {base.name}" if base else ""
        axis.set_title(f"{measure.label}{above}{unit}, {better} is better", fontsize=10)
        axis.set_yticks(range(len(rows)), [shown_name(row) for row in rows], fontsize=9)
        axis.tick_params(axis="x", labelsize=8)
        plain(axis, "x")
        axis.axvline(0, color="black", linewidth=0.8)
        axis.spines["left"].set_visible(low >= 0)
    axis.invert_yaxis()
    return figure


def plot_time(benchmark: Benchmark) -> Figure | None:
    """PSNR against seconds per section; None if no row has both."""
    rows = benchmark.scored
    colour = colours(rows)
    points = []
    for index, row in enumerate(rows):
        psnr, seconds = summarise(row.values("psnr")), summarise(row.seconds)
        if psnr and seconds and seconds.mean > 0:
            points.append((seconds.mean, psnr.mean, shown_name(row), colour[row.slug], MARKERS[index % len(MARKERS)]))
    if not points:
        return None
    figure = Figure(figsize=(7.6, 4.6), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())
    for x, y, _, shade, marker in points:
        axis.plot(x, y, marker, color=shade, markersize=8, markeredgecolor="white")
    lowest, highest = min(p[0] for p in points), max(p[0] for p in points)
    room = max(1.6, (highest / lowest) ** 0.12)
    axis.set_xlim(lowest / room, highest * room)
    levels = [p[1] for p in points]
    margin = max(0.05, 0.15 * (max(levels) - min(levels)))
    axis.set_ylim(min(levels) - margin, max(levels) + margin)
    axis.set_xlabel("seconds per section (logarithmic)")
    axis.set_ylabel("PSNR (dB)")
    plain(axis, "both")
    place_labels(axis, [(x, y, name, shade) for x, y, name, shade, _ in points])
    return figure


def plot_frc(benchmark: Benchmark, hr: np.ndarray, stacks: Mapping[str, np.ndarray]) -> Figure | None:
    """Fourier ring correlation with the HR sections, the mean over these.

    Args:
        hr: uint8 (z, y, x).
        stacks: slug to the row's sections, uint8 (z, y, x).
    """
    rows = [row for row in benchmark.scored if row.slug in stacks]
    if not rows:
        return None
    colour = colours(benchmark.scored)
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
            zorder=2 if row.kind == "oracle" else 3,
            label=shown_name(row),
        )
    axis.set_xlim(0, 0.5)
    axis.set_ylim(min(-0.05, axis.get_ylim()[0]), 1.02)
    axis.axhline(THRESHOLD, color="#555555", linewidth=0.9)
    axis.text(0.498, THRESHOLD + 0.015, "1/7", ha="right", fontsize=9, color="#333333")
    limit = 0.5 / benchmark.scale
    axis.axvline(limit, color="#555555", linewidth=1, linestyle=(0, (1, 2)), label="limit of LR sampling")
    axis.set_xlabel("spatial frequency (cycles per HR pixel)")
    axis.set_ylabel("correlation with the HR sections")
    if size := benchmark.pixel_size_nm:
        above = axis.secondary_xaxis("top")
        ticks = np.array([0.0625, 0.125, 0.1875, 0.25, 0.375, 0.5])
        above.set_xticks(ticks, [f"{size / tick:.3g}" for tick in ticks], fontsize=8.5)
        above.set_xlabel("period (nm)", fontsize=9)
    plain(axis, "both")
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    return figure


def shown_name(row: Row, width: int = 28) -> str:
    """A row's name, shortened, with what kind it is where it does not compete; safe from Matplotlib's formulas."""
    name = row.name if len(row.name) <= width else f"{row.name[: width - 1]}…"
    return (f"{name} (oracle)" if row.kind == "oracle" else name).replace("$", r"\$")


def plain(axis: Axes, grid: str) -> None:
    """Light grid behind, no box."""
    axis.set_axisbelow(True)
    axis.grid(axis=grid, color="#dddddd", linewidth=0.7)  # type: ignore[arg-type]
    axis.spines[["top", "right"]].set_visible(False)
