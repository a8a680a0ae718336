"""The one mapping between stored grey values and [0, 1]: the full range of the data type."""

from __future__ import annotations

import numpy as np


def to_unit(values: np.ndarray) -> np.ndarray:
    """Uint8 or uint16 -> float32 in [0, 1]: divided by 255 or 65535."""
    return values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max)


def from_unit(image: np.ndarray, dtype: np.dtype | type) -> np.ndarray:
    """[0, 1] -> ``dtype`` (uint8 or uint16), rounded; what lies outside is clipped. The inverse of :func:`to_unit`."""
    highest = np.iinfo(dtype).max
    return np.rint(np.clip(image, 0, 1) * np.float32(highest)).astype(dtype)
