"""Scores over sections: mean and spread, and how far one method is ahead of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 9999


@dataclass(frozen=True)
class Summary:
    """Scores of one method.

    Attributes:
        mean: over sections.
        deviation: standard deviation of the sections (n - 1); None for a single one.
    """

    mean: float
    deviation: float | None


@dataclass(frozen=True)
class PairedDifference:
    """How far a method is from another on the same sections.

    Attributes:
        mean: of the differences.
        interval: 95 % bootstrap interval of that mean, low and high; None for a single section.
    """

    mean: float
    interval: tuple[float, float] | None


def summary(values: Sequence[float]) -> Summary:
    """Mean and standard deviation of the scores of the sections, at least one."""
    scores = _sections(values)
    return Summary(float(scores.mean()), float(scores.std(ddof=1)) if len(scores) > 1 else None)


def paired_difference(a: Sequence[float], b: Sequence[float]) -> PairedDifference:
    """Mean of ``a - b`` over sections, with its interval when the sections are drawn anew, the same for each call.

    Each section's difference is drawn as a whole, so that what makes a section hard for both methods cancels. The
    interval is made of percentiles: it exists for equal differences and for two sections, where it is too narrow
    rather than absent. Sections of one stack are alike, which makes it narrower than that of sections from anywhere.

    Args:
        a, b: scores of two methods, section by section.
    """
    if len(a) != len(b):
        raise ValueError(f"scores of {len(a)} and {len(b)} sections: the same sections fit")
    differences = _sections(a) - _sections(b)
    mean = float(differences.mean())
    if len(differences) < 2:
        return PairedDifference(mean, None)
    interval = stats.bootstrap(
        (differences,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        random_state=np.random.default_rng(0),
    ).confidence_interval
    return PairedDifference(mean, (float(interval.low), float(interval.high)))


def _sections(values: Sequence[float]) -> np.ndarray:
    scores = np.asarray(values, float)
    if scores.ndim != 1 or not len(scores) or not np.isfinite(scores).all():
        raise ValueError(f"scores {list(values)}: one finite number for each section fits, and at least one")
    return scores
