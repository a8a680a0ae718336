"""What degrading an image gives, against the LR section that it was made of, and an image that gives just that."""

from __future__ import annotations

import numpy as np

from gpemsr.data.degradations import Kind, along_axes, axis_weights

STEPS = 20  # at most; area needs one, and others where that clips
TOLERANCE = 1e-4  # of the grey range


def residual(image: np.ndarray, lq: np.ndarray, scale: int, kind: Kind) -> np.ndarray:
    """What degrading an image (r*h, r*w) gives, minus the LR section (h, w) that it was made of; both in [0, 1]."""
    return np.clip(along_axes(kind, image, scale), 0, 1) - lq


def consistent(image: np.ndarray, lq: np.ndarray, scale: int, kind: Kind) -> np.ndarray:
    """The image (r*h, r*w) in [0, 1] near ``image`` that, degraded, gives the LR section (h, w).

    Each step takes the residual away by the transposed degradation, and clips. The squared distance to every image that
    gives ``lq``, so to the HR section, never grows: the degradation times r has no singular value above 1.
    """
    down, across = (axis_weights(kind, length, scale) for length in image.shape)
    image = np.clip(image, 0, 1)
    for _ in range(STEPS):
        excess = residual(image, lq, scale, kind)
        if np.abs(excess).max() < TOLERANCE:
            break
        image = np.clip(image - scale**2 * across.T.dot(down.T.dot(excess).T).T, 0, 1)
    return image
