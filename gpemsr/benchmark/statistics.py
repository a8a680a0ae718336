"""How far one method is ahead of another on the same sections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 9999


@dataclass(frozen=True)
class PairedDifference:
    """How far a method is from another on the same sections.

    Attributes:
        mean: of the differences.
        interval: 95 % bootstrap interval of that mean, low and high; None for a single section.
    """

    mean: float
    interval: tuple[float, float] | None


def paired_difference(a: Sequence[float], b: Sequence[float]) -> PairedDifference:
    """Mean of ``a - b`` over sections, with its bootstrap interval, the same at each call.

    Each section's difference is resampled as a whole, so that what makes a section hard for both methods cancels. The
    interval is made of percentiles: it exists for equal differences and for two sections, where it is too narrow
    rather than absent. Sections of one stack are alike, which makes it narrower than that of sections from anywhere.

    Args:
        a, b: scores of two methods, section by section.

    Raises:
        ValueError: not the same number of sections, none, or a score that is not finite.
    """
    if len(a) != len(b):
        raise ValueError(f"scores of {len(a)} and {len(b)} sections: expected the same sections")
    differences = np.asarray(a, float) - np.asarray(b, float)
    if not len(differences) or not np.isfinite(differences).all():
        raise ValueError(f"differences {differences.tolist()}: expected one finite number for each section")
    mean = float(differences.mean())
    if len(differences) < 2:
        return PairedDifference(mean, None)
    random = np.random.default_rng(0)
    interval = stats.bootstrap(
        (differences,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        random_state=random,
    ).confidence_interval
    return PairedDifference(mean, (float(interval.low), float(interval.high)))
