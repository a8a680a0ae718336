"""How a segmentation differs from the ground truth: variation of information and adapted Rand error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from skimage.metrics import adapted_rand_error, variation_of_information


@dataclass(frozen=True)
class SegmentationScores:
    """How a segmentation differs from the ground truth; lower is better."""

    voi_split: float
    """Variation of information by splits, in bits."""
    voi_merge: float
    """Variation of information by mergers, in bits."""
    adapted_rand: float
    """1 minus the F-score of the Rand index."""

    @property
    def voi(self) -> float:
        """Variation of information, in bits."""
        return self.voi_split + self.voi_merge


def score_segmentation(ids: np.ndarray, labels: np.ndarray, by_section: bool = False) -> SegmentationScores:
    """Compare a segmentation with the ground truth; voxels whose true id is 0 are left out.

    Args:
        ids: (z, y, x), ground truth; 0 = boundary.
        labels: (z, y, x).
        by_section: score each section separately, the mean of those that have ids other than 0.
    """
    parts = zip(ids, labels, strict=True) if by_section else [(ids, labels)]
    scores = [_score(true, found) for true, found in parts if true.any()]
    if not scores:
        raise ValueError("ids: no voxel other than 0 to compare with")
    return SegmentationScores(*np.mean(scores, axis=0).tolist())


def _score(ids: np.ndarray, labels: np.ndarray) -> tuple[float, float, float]:
    """The figures of SegmentationScores."""
    known = ids != 0
    true, found = _renumbered(ids[known]), _renumbered(labels[known])  # the tables are as wide as the largest number
    split, merge = variation_of_information(true, found)
    error, _, _ = adapted_rand_error(true, found)
    return float(split), float(merge), float(error)


def _renumbered(labels: np.ndarray) -> np.ndarray:
    """The same labels as numbers from 1 on, in the same order."""
    return np.unique(labels, return_inverse=True)[1] + 1
