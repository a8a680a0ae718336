"""Smooth random fields and sub-pixel sampling for the phantom (all lengths in nm).

Everything is evaluated at tissue coordinates, so the same field can be seen on the coarse grid on which the
tissue is laid out, on the pixels of a section, and at any voxel size.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np


def bspline_weights(t: np.ndarray) -> np.ndarray:
    """Cubic B-spline weights of the 4 lattice points around a position at fraction ``t``: (n,) -> (n, 4)."""
    return np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], -1) / 6


def catmull_rom_weights(t: np.ndarray) -> np.ndarray:
    """Interpolating cubic weights of the 4 grid points around a position at fraction ``t``: (n,) -> (n, 4)."""
    return np.stack([-(t**3) + 2 * t**2 - t, 3 * t**3 - 5 * t**2 + 2, -3 * t**3 + 4 * t**2 + t, t**3 - t**2], -1) / 2


class Taps:
    """The 4 x 4 cubic taps that carry a plane (h, w) to positions ``y`` (n,) and ``x`` (m,), in its pixel indices.

    Positions beyond the plane repeat its edge.
    """

    def __init__(self, y: np.ndarray, x: np.ndarray, height: int, width: int, weights=catmull_rom_weights):
        self._rows, self._row_weights = self._axis(y, height, weights)
        self._columns, self._column_weights = self._axis(x, width, weights)

    @staticmethod
    def _axis(position: np.ndarray, size: int, weights) -> tuple[np.ndarray, np.ndarray]:
        base = np.floor(position).astype(int)
        taps = np.clip(base[:, None] + np.arange(-1, 3), 0, size - 1)
        return taps.T, weights(position - base).astype(np.float32).T

    def __call__(self, plane: np.ndarray) -> np.ndarray:
        """Sample ``plane`` (h, w) -> (n, m) float32."""
        columns = sum(w * plane[:, i] for i, w in zip(self._columns, self._column_weights, strict=True))
        sampled = columns[self._rows[0]] * self._row_weights[0][:, None]
        for i, w in zip(self._rows[1:], self._row_weights[1:], strict=True):
            taken = columns[i]
            taken *= w[:, None]
            sampled += taken
        return sampled


class SmoothNoise:
    """A Gaussian random field in 3-D with mean 0, deviation about 1, smooth over about ``length`` nm.

    White noise on a lattice, spread by cubic B-splines. Lattice planes are drawn when first needed, each from its
    own seed, so that memory does not grow with the number of sections.
    """

    def __init__(self, seed: tuple[int, ...], lateral: Sequence[float], length: float):
        """``seed``: integers; ``lateral``: height and width (nm) that will be sampled; ``length``: nm."""
        self._length = length
        self._size = tuple(int(np.ceil(side / length)) + 12 for side in lateral)
        self._plane = lru_cache(maxsize=6)(
            lambda k: np.random.default_rng([*seed, k + 2**20]).standard_normal(self._size, dtype=np.float32)
        )

    def __call__(self, z: float, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Sample the plane at height ``z`` on the grid of positions ``y`` (n,) and ``x`` (m,) -> (n, m)."""
        base = int(np.floor(z / self._length))
        weights = bspline_weights(np.array([z / self._length - base]))[0].astype(np.float32)
        plane = sum(w * self._plane(base + k) for k, w in zip(range(-1, 3), weights, strict=True))
        taps = Taps(y / self._length + 6, x / self._length + 6, self._size[0], self._size[1], bspline_weights)
        return taps(plane) * np.float32(3.0)  # the spline weights keep about 1/9 of the variance
