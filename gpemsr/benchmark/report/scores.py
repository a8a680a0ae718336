"""Scores of sections as one long frame, and what follows from it: means, the best method, differences, CSV files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from gpemsr.benchmark.report.results import Benchmark, Row
from gpemsr.files import replaced
from gpemsr.metrics.measures import MEASURES, SEGMENTATION

BICUBIC = "bicubic"  # slug of the row that needs no training


class Difference(NamedTuple):
    """Mean difference of two methods over the same sections, with its interval (None for a single section).

    ``baseline`` is the slug of the method that is subtracted.
    """

    mean: float
    low: float | None = None
    high: float | None = None
    baseline: str = ""


def paired_difference(a: ArrayLike, b: ArrayLike, baseline: str = "") -> Difference:
    """Mean of ``a - b`` over sections, and its 95 % bootstrap interval, the same at each call.

    Differences are resampled by section, so that what makes a section hard for both methods cancels. The interval is
    made of percentiles: it exists for equal differences too, and for two sections, where it is too narrow. Sections of
    one stack are alike, so it is narrower than that of sections from anywhere.

    Args:
        a, b: finite scores of two methods, section by section.
        baseline: what ``b`` is called.
    """
    differences = np.subtract(a, b)
    mean = float(differences.mean())
    if len(differences) < 2:
        return Difference(mean, baseline=baseline)
    random = np.random.default_rng(0)
    found = stats.bootstrap((differences,), np.mean, method="percentile", random_state=random).confidence_interval
    return Difference(mean, float(found.low), float(found.high), baseline)


class Scores:
    """Scores of all rows of a benchmark.

    Attributes:
        frame: columns method (slug), section (index), measure (``seconds`` or one of MEASURES), value (NaN: not
            measured).
        methods: slugs of the rows that are compared: methods, not oracles.
        differences: by method and measure, from the best other method.
    """

    def __init__(self, benchmark: Benchmark) -> None:
        self.benchmark = benchmark
        lines = [
            (row.slug, section, measure, value)
            for row in benchmark.scored
            for measure, values in {"seconds": row.seconds, **row.scores}.items()
            for section, value in enumerate(values or [])
        ]
        self.frame = pd.DataFrame(lines, columns=["method", "section", "measure", "value"]).astype({"value": float})
        self.methods = [row.slug for row in benchmark.finished("method")]
        found = {(method, name): self._difference(method, name) for method in self.methods for name in MEASURES}
        self.differences = {key: value for key, value in found.items() if value is not None}

    def of(self, measure: str) -> pd.DataFrame:
        """Values of a measure: a line for each section, a column for each row (slug), NaN where not measured."""
        found = self.frame[self.frame.measure == measure].pivot(index="section", columns="method", values="value")
        rows = [row.slug for row in self.benchmark.scored]
        return found.reindex(index=range(len(self.benchmark.sections)), columns=rows).astype(float)

    def best(self, measure: str, methods: Sequence[str]) -> str | None:
        """The method with the best mean (the first of equals); None if none was measured."""
        means = self.of(measure)[list(methods)].mean().dropna()
        if means.empty:
            return None
        return str(means.idxmax() if MEASURES[measure].higher_is_better else means.idxmin())

    def _difference(self, method: str, measure: str) -> Difference | None:
        baseline = self.best(measure, [other for other in self.methods if other != method])
        both = self.of(measure)[[method, baseline]].dropna() if baseline else pd.DataFrame()
        return None if both.empty else paired_difference(both[method], both[baseline], str(baseline))


def write_csv_files(scores: Scores) -> None:
    """Write ``summary.csv`` (a line for each row) and ``sections.csv`` (row and section); nothing is rounded."""
    lines = pd.DataFrame([summary_line(scores, row) for row in scores.benchmark.rows], dtype=object)
    for name, frame in {"summary.csv": lines, "sections.csv": section_lines(scores)}.items():
        with replaced(scores.benchmark.folder / name) as file:
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
    line = row.model_dump(include={"slug", "name", "kind", "error"})
    line |= row.model_dump(include={"parameters", "learned_parameters", "macs", "peak_memory"})
    line["training_core_minutes"] = row.training and row.training.core_minutes
    line["training_iterations"] = row.training and sum(row.training.iterations.values())
    for name in ("seconds", *MEASURES):
        values = scores.of(name).get(row.slug, pd.Series(dtype=float)).dropna()
        line |= {f"{name}_mean": values.mean(), f"{name}_std": values.std(), f"{name}_sections": len(values) or None}
    for name in MEASURES:
        gap = scores.differences.get((row.slug, name), Difference(np.nan))
        ends = {"": gap.mean, "_low": gap.low, "_high": gap.high, "_from": gap.baseline}
        line |= {f"{name}_difference{end}": value for end, value in ends.items()}
    for segmenter in scores.benchmark.segmenters:
        found = row.segmentation.get(segmenter, {})
        line |= {f"{segmenter}_{key}": found.get(key) for key in ("threshold", *SEGMENTATION)}
    return line
