"""Smooth random fields and sub-pixel sampling for the phantom (all lengths in nm).

Everything is evaluated at tissue coordinates, so the same field can be seen on the coarse grid on which the
tissue is laid out, on the pixels of a section, and at any voxel size.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy.interpolate import BSpline
from scipy.sparse import csr_array


def spline(at: np.ndarray, size: int) -> csr_array:
    """Cubic B-spline weights (n, size) of ``size`` even samples at places ``at`` (n,) from 1 to size - 2.

    ``spline(y, h) @ plane @ spline(x, w).T`` is a plane (h, w) sampled on the grid of ``y`` and ``x``.
    """
    return BSpline.design_matrix(at, np.arange(-2.0, size + 2), 3).astype(np.float32)


class SmoothNoise:
    """A Gaussian random field in 3-D with mean 0, deviation about 1, smooth over about ``length`` nm.

    White noise on a lattice, spread by cubic B-splines. Lattice planes are drawn when first needed, each from its
    own seed, so that memory does not grow with the number of sections.
    """

    def __init__(self, seed: tuple[int, ...], lateral: Sequence[float], length: float):
        """``seed``: integers; ``lateral``: height and width (nm) that will be sampled; ``length``: nm."""
        self._length = length
        size = tuple(int(np.ceil(side / length)) + 12 for side in lateral)
        self._plane = lru_cache(maxsize=6)(
            lambda k: np.random.default_rng([*seed, k + 2**20]).standard_normal(size, dtype=np.float32)
        )

    def __call__(self, z: float, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Sample the plane at height ``z`` on the grid of positions ``y`` (n,) and ``x`` (m,) -> (n, m)."""
        base, between = divmod(z / self._length, 1)
        planes = [self._plane(int(base) + k) for k in range(-1, 3)]
        plane = np.tensordot(spline(np.array([1 + between]), 4).toarray()[0], planes, 1)
        rows, columns = (spline(at / self._length + 6, n) for at, n in zip((y, x), plane.shape, strict=True))
        return 3 * (rows @ (columns @ plane.T).T)  # the spline weights keep about 1/9 of the variance
