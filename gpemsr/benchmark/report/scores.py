"""Scores of sections as one long frame, and what follows from it: means, the best method, differences, CSV files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from gpemsr.benchmark.report.results import Benchmark, Row, Segmentation
from gpemsr.benchmark.statistics import paired_difference
from gpemsr.files import replaced
from gpemsr.metrics.measures import MEASURES

BICUBIC = "bicubic"  # slug of the row that needs no training


def long_frame(benchmark: Benchmark) -> pd.DataFrame:
    """Columns method (slug), section (index), measure (``seconds`` or one of MEASURES), value (NaN: not measured)."""
    lines = [
        (row.slug, section, measure, value)
        for row in benchmark.scored
        for measure, values in {"seconds": row.seconds, **row.scores}.items()
        for section, value in enumerate(values or [])
    ]
    frame = pd.DataFrame(lines, columns=["method", "section", "measure", "value"])
    return frame.assign(value=frame.value.astype(float).replace([np.inf, -np.inf], np.nan))


class Difference(NamedTuple):
    """Mean over sections of a method minus ``baseline`` (slug) and its 95 % interval (None of a single section)."""

    mean: float
    low: float | None
    high: float | None
    baseline: str


class Scores:
    """Scores of all rows of a benchmark.

    Attributes:
        frame: as :func:`long_frame` makes it.
        methods: slugs of the rows that are compared: methods, not oracles.
        differences: by method and measure, from the best other method.
    """

    def __init__(self, benchmark: Benchmark) -> None:
        self.benchmark = benchmark
        self.frame = long_frame(benchmark)
        self.methods = [row.slug for row in benchmark.methods]
        rows, count = [row.slug for row in benchmark.scored], len(benchmark.sections)
        self._wide = {
            name: self.frame[self.frame.measure == name]
            .pivot(index="section", columns="method", values="value")
            .reindex(index=range(count), columns=rows)
            .astype(float)
            for name in ("seconds", *MEASURES)
        }
        found = {(method, name): self._difference(method, name) for method in self.methods for name in MEASURES}
        self.differences = {key: value for key, value in found.items() if value is not None}

    def of(self, measure: str) -> pd.DataFrame:
        """Values of a measure: a line for each section, a column for each row (slug), NaN where not measured."""
        return self._wide[measure]

    def best(self, measure: str, methods: Sequence[str] | None = None) -> str | None:
        """The method with the best mean (the first of equals); None if none was measured."""
        means = self.of(measure)[list(self.methods if methods is None else methods)].mean().dropna()
        if means.empty:
            return None
        return str(means.idxmax() if MEASURES[measure].higher_is_better else means.idxmin())

    def fastest(self) -> Row | None:
        """The row that times are compared with: the fastest method other than bicubic, else the first method."""
        seconds = self.of("seconds")[[slug for slug in self.methods if slug != BICUBIC]].mean().dropna()
        slug = seconds.idxmin() if len(seconds) else next(iter(self.methods), None)
        return next((row for row in self.benchmark.methods if row.slug == slug), None)

    def seconds_ratio(self, row: Row) -> float:
        """How many times as long a row takes as :meth:`fastest`; NaN if that is not known."""
        seconds, fastest = self.of("seconds").mean(), self.fastest()
        return float(seconds[row.slug] / seconds[fastest.slug]) if fastest and seconds[fastest.slug] > 0 else np.nan

    def _difference(self, method: str, measure: str) -> Difference | None:
        baseline = self.best(measure, [other for other in self.methods if other != method])
        if baseline is None:
            return None
        both = self.of(measure)[[method, baseline]].dropna()
        if both.empty:
            return None
        found = paired_difference(both[method], both[baseline])
        low, high = found.interval or (None, None)
        return Difference(found.mean, low, high, baseline)


def write_csv_files(scores: Scores) -> None:
    """Write ``summary.csv`` (a line for each row) and ``sections.csv`` (row and section); nothing is rounded."""
    benchmark = scores.benchmark
    lines = pd.DataFrame([summary_line(scores, row) for row in benchmark.rows], dtype=object)
    for name, frame in {"summary.csv": lines, "sections.csv": section_lines(scores)}.items():
        with replaced(benchmark.folder / name) as file:
            frame.to_csv(file, index=False, encoding="utf-8")


def section_lines(scores: Scores) -> pd.DataFrame:
    """A line for each row and section, a column for each measure."""
    benchmark = scores.benchmark
    wide = scores.frame.pivot(index=["method", "section"], columns="measure", values="value")
    names = {row.slug: row.name for row in benchmark.scored}
    index = pd.MultiIndex.from_product([names, range(len(benchmark.sections))], names=["slug", "section"])
    lines = wide.reindex(index=index, columns=["seconds", *MEASURES]).reset_index()
    lines["section"] = [benchmark.sections[section] for section in lines.section]
    lines.insert(1, "name", lines.slug.map(names))
    return lines


def summary_line(scores: Scores, row: Row) -> dict:
    """Everything known of one row."""
    scored = row in scores.benchmark.scored
    seconds = scores.of("seconds")[row.slug] if scored else pd.Series(dtype=float)
    line: dict = {
        "slug": row.slug,
        "name": row.name,
        "kind": row.kind,
        "error": row.error,
        "parameters": row.parameters,
        "learned_parameters": row.learned_parameters,
        "macs": row.macs,
        "seconds_mean": seconds.mean(),
        "seconds_std": seconds.std(),
        "seconds_ratio": scores.seconds_ratio(row) if scored else None,
        "peak_memory": row.peak_memory,
        "training_core_minutes": row.training and row.training.core_minutes,
        "training_iterations": row.training and sum(row.training.iterations.values()),
    }
    for name in MEASURES:
        values = scores.of(name)[row.slug].dropna() if scored else pd.Series(dtype=float)
        line |= {f"{name}_mean": values.mean(), f"{name}_std": values.std(), f"{name}_sections": len(values) or None}
        gap = scores.differences.get((row.slug, name), Difference(np.nan, None, None, ""))
        ends = {"": gap.mean, "_low": gap.low, "_high": gap.high, "_from": gap.baseline}
        line |= {f"{name}_difference{end}": value for end, value in ends.items()}
    for segmenter in scores.benchmark.segmenters:
        figures = row.segmentation.get(segmenter, Segmentation()).model_dump()
        line |= {f"{segmenter}_{key}": value for key, value in figures.items()}
    return line
