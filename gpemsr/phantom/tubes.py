"""Tubes, and the grids on which they are drawn as signed distances, in straight or bent space (lengths in nm)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

OUTSIDE = 1e4  # distance where it is unknown
Box = tuple[slice, ...]


@dataclass
class Tube:
    """``points`` (n, 3) z, y, x of its axis and ``radii`` (n,) there."""

    points: np.ndarray
    radii: np.ndarray

    @property
    def arc(self) -> np.ndarray:
        """Length of the axis up to each point (n,)."""
        return np.append(0.0, np.cumsum(np.linalg.norm(np.diff(self.points, axis=0), axis=1)))

    def at(self, arc: np.ndarray) -> np.ndarray:
        """The points (m, 3) of the axis at lengths ``arc`` (m,)."""
        return np.stack([np.interp(arc, self.arc, axis) for axis in self.points.T], 1)


def tube_distance(points, radii, z, y, x) -> np.ndarray:
    """Signed distance (< 0 inside) of broadcast coordinates ``z, y, x`` to the segment ``points`` (2, 3)."""
    along, (first, last) = (points[1] - points[0]).tolist(), radii.tolist()
    square = sum(a * a for a in along) + 1e-6
    offsets = [at - start for at, start in zip((z, y, x), points[0].tolist(), strict=True)]
    t = np.clip(sum(offset * (a / square) for offset, a in zip(offsets, along, strict=True)), 0, 1)
    away = np.sqrt(sum((offset - t * a) ** 2 for offset, a in zip(offsets, along, strict=True)))
    return away - (first + t * (last - first))


class Grid:
    """A grid of ``shape`` (z, y, x), ``step`` apart from ``first`` on.

    Attributes:
        axes: its places along z, y and x.
        bent: three (z, y, x) float32, where its points lie in the space of the tubes; straight until they are moved.
    """

    def __init__(self, first: Sequence[float], step: Sequence[float], shape: Sequence[int]):
        self.first, self.step, self.shape = np.array(first), np.array(step), tuple(shape)
        self.axes = [a + s * np.arange(n) for a, s, n in zip(first, step, shape, strict=True)]
        self.bent = [axis.astype(np.float32) for axis in np.meshgrid(*self.axes, indexing="ij")]

    def points(self, index) -> np.ndarray:
        """Places (..., 3) of the grid points with these indices (..., 3)."""
        return self.first + self.step * index

    def index(self, points: np.ndarray) -> tuple[np.ndarray, ...]:
        """Indices of the grid's points nearest to ``points`` (..., 3)."""
        nearest = np.rint((points - self.first) / self.step).astype(int)
        return tuple(np.moveaxis(np.clip(nearest, 0, np.array(self.shape) - 1), -1, 0))

    def place(self, points: np.ndarray) -> np.ndarray:
        """Where on the grid ``points`` (n, 3) of the tubes' space lie."""
        places = points
        for _ in range(3):
            index = self.index(places)
            places = points + self.points(np.stack(index, 1)) - np.stack([bent[index] for bent in self.bent], 1)
        return places

    def draw(self, tube: Tube, reach: float) -> tuple[Box, np.ndarray]:
        """The box of the grid that a tube comes near, and its signed distance there (< 0 inside; OUTSIDE: far).

        ``reach``: how far from the surface it is drawn. The box is empty where the tube misses the grid.
        """
        places = self.place(tube.points)
        pairs = np.stack([places[:-1], places[1:]])
        slack = (1.2 * np.maximum(tube.radii[:-1], tube.radii[1:]) + reach + 30.0)[:, None]
        corners = np.stack([pairs.min(0) - slack, pairs.max(0) + slack])
        begins, ends = np.clip(np.ceil((corners - self.first) / self.step), 0, self.shape).astype(int)
        hits = np.flatnonzero((ends > begins).all(1))
        low, high = (begins[hits].min(0), ends[hits].max(0)) if hits.size else np.zeros((2, 3), int)
        distance = np.full(high - low, OUTSIDE, np.float32)
        for i in hits:
            near = distance[box(begins[i] - low, ends[i] - low)]
            bent = [axis[box(begins[i], ends[i])] for axis in self.bent]
            np.minimum(near, tube_distance(tube.points[i : i + 2], tube.radii[i : i + 2], *bent), out=near)
        return box(low, high), distance


def box(low: np.ndarray, high: np.ndarray) -> Box:
    """The slices from one corner to another."""
    return tuple(slice(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True))
