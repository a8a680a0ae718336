"""Figures of the rows in brief: means, the best method, differences from it."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from gpemsr.benchmark.report.results import Benchmark, Row
from gpemsr.benchmark.statistics import PairedDifference, paired_difference, summary
from gpemsr.metrics.measures import MEASURES

BASELINE = "bicubic"  # slug of the row that needs no training


@dataclass(frozen=True)
class Summary:
    """Mean and sample standard deviation (None of a single value) of the ``count`` finite values."""

    mean: float
    std: float | None
    count: int


@dataclass(frozen=True)
class Difference:
    """Mean over sections of ``row - rival``, and the bounds of its 95 % interval (None with fewer than 2 sections)."""

    rival: Row
    mean: float
    low: float | None
    high: float | None

    @property
    def clear(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def summarise(values: Iterable[float | None]) -> Summary | None:
    """Mean and spread of the finite values; None if there are none."""
    finite = [float(v) for v in values if v is not None and np.isfinite(v)]
    if not finite:
        return None
    figures = summary(finite)
    return Summary(figures.mean, figures.deviation, len(finite))


def best_row(rows: Sequence[Row], measure: str) -> Row | None:
    """The row with the best mean (the first of equals); None if none was measured."""
    means = {row.slug: s.mean for row in rows if (s := summarise(row.values(measure)))}
    sign = 1 if MEASURES[measure].higher_is_better else -1
    return max((row for row in rows if row.slug in means), key=lambda row: sign * means[row.slug], default=None)


def difference(row: Row, rows: Sequence[Row], measure: str) -> Difference | None:
    """How far a row is from the best of the other rows, on the sections that both have."""
    rival = best_row([other for other in rows if other.slug != row.slug], measure)
    own = row.values(measure)
    if rival is None or not len(own):
        return None
    others = rival.values(measure)
    both = np.isfinite(own) & np.isfinite(others)
    if not both.any():
        return None
    found = _paired(tuple(own[both].tolist()), tuple(others[both].tolist()))
    low, high = found.interval or (None, None)
    return Difference(rival, found.mean, low, high)


@functools.lru_cache(maxsize=4096)
def _paired(own: tuple[float, ...], others: tuple[float, ...]) -> PairedDifference:
    """The difference, drawn anew only once for the sentence, the tables and the CSV file."""
    return paired_difference(own, others)


def reference_row(benchmark: Benchmark) -> Row | None:
    """The row that costs are compared with: the fastest method but bicubic, else the first method."""
    times = {row.slug: s.mean for row in benchmark.methods if row.slug != BASELINE and (s := summarise(row.seconds))}
    if times:
        return min((row for row in benchmark.methods if row.slug in times), key=lambda row: times[row.slug])
    return next(iter(benchmark.methods), None)


def seconds_ratio(benchmark: Benchmark, row: Row) -> float | None:
    """How many times as long a row takes as the one that costs are compared with."""
    reference = reference_row(benchmark)
    own, other = summarise(row.seconds), summarise(reference.seconds) if reference else None
    return own.mean / other.mean if own and other and other.mean > 0 else None
