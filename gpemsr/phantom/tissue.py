"""The tissue of the phantom: curved neurites that fill space, as smooth signed distances (lengths in nm).

Neurites are tubes of varying radius around random curves, large ones first, the rest squeezed into the gaps. Each
point belongs to the tube whose surface is nearest, in coordinates bent by smooth noise; so profiles are rounded where
they are small, indented by their neighbours where they are large, and change slowly from section to section.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from gpemsr.phantom.fields import SmoothNoise
from gpemsr.phantom.neurites import Neurite, grow_neurites, tube_distance

PITCH = 16.0  # of the lateral grid on which the tissue is laid out
MARGIN = 96.0  # of that grid around the sections' pixels, at each side
REACH = 90.0  # how far beyond a tube's surface its distance is known
OUTSIDE = 1e4  # "distance" where it is not known
BENDING = ((900.0, 75.0), (320.0, 36.0), (120.0, 9.0))  # wavelength and amplitude of the bending of space


@dataclass
class Cell:
    """A connected piece of tissue on the grid: ``box`` (3 slices), signed ``depth`` (its shape, > 0 inside)."""

    neurite: int
    box: tuple[slice, ...]
    depth: np.ndarray
    tilt: np.ndarray = field(repr=False)


class Grid:
    """Where the layout grid lies: sections at ``z`` (n,), columns at ``y`` and ``x``; all in nm."""

    def __init__(self, shape: tuple[int, int, int], voxel_size: tuple[float, float, float]):
        self.step = (voxel_size[0], PITCH, PITCH)
        self.z = (np.arange(shape[0]) + 0.5) * voxel_size[0]
        self.y, self.x = (
            -MARGIN + (np.arange(int(np.ceil((size * step + 2 * MARGIN) / PITCH))) + 0.5) * PITCH
            for size, step in zip(shape[1:], voxel_size[1:], strict=True)
        )
        self.shape = (len(self.z), len(self.y), len(self.x))
        self.extent = (shape[0] * voxel_size[0], shape[1] * voxel_size[1], shape[2] * voxel_size[2])
        self.axes = (self.z, self.y, self.x)

    def index(self, points: np.ndarray) -> tuple[np.ndarray, ...]:
        """Nearest grid indices of ``points`` (n, 3), clipped to the grid."""
        return tuple(
            np.clip(np.rint((points[:, a] - axis[0]) / self.step[a]).astype(int), 0, len(axis) - 1)
            for a, axis in enumerate(self.axes)
        )

    def around(self, low: np.ndarray, high: np.ndarray) -> tuple[slice, ...]:
        """The part of the grid between two corners (nm)."""
        return tuple(
            slice(int(np.searchsorted(axis, a)), int(np.searchsorted(axis, b, side="right")))
            for axis, a, b in zip(self.axes, low, high, strict=True)
        )


class Tissue:
    """Neurites laid out on a grid: who owns each point, how deep inside it lies, how obliquely it is cut.

    Attributes:
        grid: the layout grid.
        neurites: the tubes.
        bending: (3, z, y, x) float32, what is added to a place before tubes are looked up there.
        bent: three (z, y, x) float32, the grid's places with that added.
        cells: connected pieces, each with its depth on its box.
        owner: (z, y, x) int32, index into ``cells`` (-1 where no tube is near).
        rival: the same, the nearest other cell.
        margin: (z, y, x) float32, about the distance to the boundary with the rival.
    """

    def __init__(self, seed: int, shape: tuple[int, int, int], voxel_size: tuple[float, float, float]):
        self.grid = grid = Grid(shape, voxel_size)
        self.neurites = grow_neurites(np.random.default_rng([seed, 1]), grid.extent)
        self.bending = self._bend(seed)
        self.bent = [
            self.bending[a] + axis for a, axis in enumerate(np.ix_(*(x.astype(np.float32) for x in grid.axes)))
        ]
        fields = [(i, *self.draw_tube(neurite, REACH)) for i, neurite in enumerate(self.neurites)]
        fields = [item for item in fields if item[2] is not None]
        self._compete(fields)
        fields = self._split(fields)
        self._compete(fields)
        self.cells = [self._cell(c, *item) for c, item in enumerate(fields)]

    def _bend(self, seed: int) -> np.ndarray:
        grid = self.grid
        bending = np.zeros((3, *grid.shape), np.float32)
        lateral = (grid.y[-1] + MARGIN, grid.x[-1] + MARGIN)
        for n, (length, amplitude) in enumerate(BENDING):
            for axis in range(3):
                noise = SmoothNoise((seed, 2, n, axis), lateral, length / 2)
                for k, z in enumerate(grid.z):
                    bending[axis, k] += np.float32(amplitude) * noise(z, grid.y, grid.x)
        return bending

    def place(self, points: np.ndarray) -> np.ndarray:
        """Where ``points`` (n, 3) of the tubes lie in the tissue once space is bent."""
        places = points
        for _ in range(3):
            z, y, x = self.grid.index(places)
            places = points - self.bending[:, z, y, x].T
        return places

    def draw_tube(self, tube: Neurite, reach: float):
        """The box of the grid that a tube comes near, and its signed distance there (< 0 inside; OUTSIDE: far).

        Returns two None where the tube misses the grid. ``reach``: how far from the surface it is drawn.
        """
        places = self.place(tube.points)
        slack = (1.2 * np.maximum(tube.radii[1:], tube.radii[:-1]) + reach + 30.0)[:, None]
        lows, highs = np.minimum(places[1:], places[:-1]) - slack, np.maximum(places[1:], places[:-1]) + slack
        begins = np.stack([np.searchsorted(axis, lows[:, a]) for a, axis in enumerate(self.grid.axes)], 1)
        ends = np.stack([np.searchsorted(axis, highs[:, a]) for a, axis in enumerate(self.grid.axes)], 1)
        hits = np.flatnonzero((ends > begins).all(1))
        if not hits.size:
            return None, None
        corner = begins[hits].min(0)
        distance = np.full(ends[hits].max(0) - corner, OUTSIDE, np.float32)
        segments = tube.segments()
        for i in hits:
            box = tuple(slice(a, b) for a, b in zip(begins[i].tolist(), ends[i].tolist(), strict=True))
            inner = tuple(slice(part.start - c, part.stop - c) for part, c in zip(box, corner.tolist(), strict=True))
            new = tube_distance(*segments[i], *(place[box] for place in self.bent))
            np.minimum(distance[inner], new, out=distance[inner])
        return tuple(slice(c, c + n) for c, n in zip(corner.tolist(), distance.shape, strict=True)), distance

    def _compete(self, fields) -> None:
        """Nearest and second nearest tube everywhere."""
        shape = self.grid.shape
        self.owner = np.full(shape, -1, np.int32)
        self.rival = np.full(shape, -1, np.int32)
        self._first = np.full(shape, OUTSIDE, np.float32)
        self._second = np.full(shape, OUTSIDE, np.float32)
        for c, (_, box, distance) in enumerate(fields):
            owner, rival, first, second = (a[box] for a in (self.owner, self.rival, self._first, self._second))
            near = distance < second
            wins = distance < first
            np.copyto(second, np.where(wins, first, distance), where=near)
            np.copyto(rival, np.where(wins, owner, c), where=near)
            np.copyto(first, distance, where=wins)
            np.copyto(owner, c, where=wins)
        self.margin = 0.5 * (np.minimum(self._second, self._first + 2 * OUTSIDE) - self._first)

    def _split(self, fields):
        """Give separate pieces of one tube separate identities; leave crumbs to the neighbours."""
        crumb = 85.0**2 * min(max(self.grid.step[0], 80.0), self.grid.extent[0]) / np.prod(self.grid.step)
        result = []
        for c, (neurite, box, distance) in enumerate(fields):
            occupied = ndimage.find_objects((self.owner[box] == c).astype(np.uint8))
            if not occupied:
                continue
            inner = tuple(
                slice(max(part.start - 6, 0), min(part.stop + 6, size))
                for part, size in zip(occupied[0], distance.shape, strict=True)
            )
            box = tuple(slice(b.start + i.start, b.start + i.stop) for b, i in zip(box, inner, strict=True))
            distance = distance[inner]
            pieces, count = ndimage.label(self.owner[box] == c, structure=np.ones((3, 3, 3)))
            sizes = np.bincount(pieces.ravel())[1:]
            if count == 1:
                if sizes[0] >= crumb:
                    result.append((neurite, box, distance))
                continue
            nearest = ndimage.distance_transform_edt(
                pieces == 0, sampling=self.grid.step, return_distances=False, return_indices=True
            )
            zone = pieces[tuple(nearest)]
            for piece in np.flatnonzero(sizes >= crumb) + 1:
                result.append((neurite, box, np.where(zone == piece, distance, np.float32(OUTSIDE))))
        return result

    def _cell(self, c: int, neurite: int, box, distance: np.ndarray) -> Cell:
        """The smoothed signed depth of one cell, in nm along the normal, and the cosine of its membrane's tilt."""
        occupied = ndimage.find_objects((self.owner[box] == c).astype(np.uint8))
        if not occupied or occupied[0] is None:
            empty = (slice(0, 0),) * 3
            return Cell(neurite, empty, np.zeros((0, 0, 0), np.float32), np.zeros((0, 0, 0), np.float32))
        inner = tuple(
            slice(max(part.start - 6, 0), min(part.stop + 6, size))
            for part, size in zip(occupied[0], distance.shape, strict=True)
        )
        box = tuple(slice(b.start + i.start, b.start + i.stop) for b, i in zip(box, inner, strict=True))
        mine = self.owner[box] == c
        margin = 0.5 * (np.where(mine, self._second[box], self._first[box]) - distance[inner])
        margin = np.clip(margin, -REACH / 2, REACH)
        margin = ndimage.gaussian_filter(margin, [14.0 / step for step in self.grid.step], mode="nearest", truncate=3)
        slopes = [
            np.gradient(margin, step, axis=a) if margin.shape[a] > 1 else np.zeros_like(margin)
            for a, step in enumerate(self.grid.step)
        ]
        steepness = np.sqrt(sum(slope**2 for slope in slopes))
        depth = margin / np.clip(steepness, 0.45, 1.0)
        return Cell(
            neurite, box, depth.astype(np.float32), (np.abs(slopes[0]) / np.maximum(steepness, 0.2)).astype(np.float32)
        )
