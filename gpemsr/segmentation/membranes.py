"""How well predicted affinities find membranes."""

from __future__ import annotations

import numpy as np

STEPS = 100  # thresholds of the probability


def membrane_probability(affinities: np.ndarray) -> np.ndarray:
    """How likely each pixel is membrane: 1 minus its highest affinity to its four neighbours in the section.

    With affinities made from ids the membrane comes out as labelled. 1 minus the lower of the two affinities of a
    pixel would make it a pixel wider: what lies behind a membrane is not joined to it either.

    Args:
        affinities: (3, z, y, x) in [0, 1], to the voxel before along z, y, x; z is not used.

    Returns:
        (z, y, x) float32 in [0, 1].
    """
    joined = np.zeros(affinities.shape[1:], np.float32)
    for axis in (1, 2):
        between = np.moveaxis(affinities[axis], axis, 0)[1:]
        here = np.moveaxis(joined, axis, 0)
        np.maximum(here[1:], between, out=here[1:])
        np.maximum(here[:-1], between, out=here[:-1])
    return 1 - joined


def membrane_f1(affinities: np.ndarray, ids: np.ndarray) -> float:
    """F1 score of the membrane's pixels, the best over thresholds of :func:`membrane_probability`.

    Args:
        affinities: (3, z, y, x) in [0, 1].
        ids: (z, y, x), ground truth; 0 = membrane.

    Returns:
        From 0 to 1, higher is better.
    """
    level = np.floor(membrane_probability(affinities) * STEPS).astype(np.int64)
    true = ids == 0
    if not true.any():
        raise ValueError("ids: no membrane (0) to compare with")
    # pixels at or above each threshold, from the highest on
    hit, found = (np.bincount(pixels, minlength=STEPS + 1)[::-1].cumsum() for pixels in (level[true], level.ravel()))
    return float((2 * hit / (found + true.sum())).max())
