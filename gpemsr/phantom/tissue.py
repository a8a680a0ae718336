"""The tissue of the phantom: curved neurites that fill space, as smooth signed distances (lengths in nm).

Neurites are tubes of varying radius around random curves, large ones first, the rest squeezed into the gaps. Each
point belongs to the tube whose surface is nearest, in coordinates bent by smooth noise; so profiles are rounded where
they are small, indented by their neighbours where they are large, and change slowly from section to section.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from gpemsr.phantom.fields import SmoothNoise
from gpemsr.phantom.neurites import grow_neurites
from gpemsr.phantom.tubes import OUTSIDE, Box, Grid, box

PITCH = 16.0  # of the lateral grid on which the tissue is laid out
MARGIN = 96.0  # of that grid around the sections' pixels, at each side
REACH = 90.0  # how far beyond a tube's surface its distance is known
BENDING = ((900.0, 75.0), (320.0, 36.0), (120.0, 9.0))  # wavelength and amplitude of the bending of space
SAMPLING = 9.2  # deviation of the blur of a cubic B-spline on the lateral grid


Piece = tuple[int, Box, np.ndarray]  # of a tube: index of its neurite, box on the grid, signed distance to it there


class Cell(NamedTuple):
    """A connected piece of a neurite: index of that, box on the grid, and in that box two arrays.

    ``depth`` is signed, below the cell's surface (> 0 inside); ``tilt`` says how obliquely its membrane is cut: 0
    upright, 1 flat in the section.
    """

    neurite: int
    box: Box
    depth: np.ndarray
    tilt: np.ndarray


class Tissue:
    """Neurites laid out on a grid: who owns each point, how deep inside it lies, how obliquely it is cut.

    Attributes:
        grid: the layout grid.
        extent: z, y, x of the stack.
        neurites: the tubes.
        cells: their connected pieces.
        owner: (z, y, x) int32, index into ``cells`` (-1 where no tube is near).
        neurite: the same, index into ``neurites``.
        neighbour: the same, the nearest other cell.
        margin: (z, y, x) float32, about the distance to the boundary with that one.
    """

    def __init__(self, seed: int, shape: tuple[int, int, int], voxel_size: tuple[float, float, float]):
        self.extent = tuple(n * step for n, step in zip(shape, voxel_size, strict=True))
        lateral = [int(np.ceil((side + 2 * MARGIN) / PITCH)) for side in self.extent[1:]]
        edge = PITCH / 2 - MARGIN
        self.grid = Grid((voxel_size[0] / 2, edge, edge), (voxel_size[0], PITCH, PITCH), (shape[0], *lateral))
        self.neurites = grow_neurites(np.random.default_rng([seed, 1]), self.extent)
        self._bend(seed)
        tubes = [(i, *self.grid.draw(neurite, REACH)) for i, neurite in enumerate(self.neurites)]
        tubes = [tube for tube in tubes if tube[2].size]
        self._rank(tubes)
        pieces = [piece for i, tube in enumerate(tubes) for piece in self._split(i, *tube)]
        self._rank(pieces)
        self.cells = [self._cell(i, *piece) for i, piece in enumerate(pieces)]
        self.neurite = np.array([*(cell.neurite for cell in self.cells), -1], np.int32)[self.owner]

    def _bend(self, seed: int) -> None:
        z, y, x = self.grid.axes
        for n, (length, amplitude) in enumerate(BENDING):
            for axis, bent in enumerate(self.grid.bent):
                noise = SmoothNoise((seed, 2, n, axis), (y[-1] + MARGIN, x[-1] + MARGIN), length / 2)
                for plane, height in zip(bent, z, strict=True):
                    plane += np.float32(amplitude) * noise(height, y, x)

    def _rank(self, pieces: list[Piece]) -> None:
        """Find the nearest and second nearest piece everywhere."""
        self.owner, self.neighbour = (np.full(self.grid.shape, -1, np.int32) for _ in range(2))
        self._first, self._second = (np.full(self.grid.shape, OUTSIDE, np.float32) for _ in range(2))
        for i, (_, part, distance) in enumerate(pieces):
            first, second, owner, neighbour = (a[part] for a in (self._first, self._second, self.owner, self.neighbour))
            near, nearest = distance < second, distance < first
            np.copyto(second, np.where(nearest, first, distance), where=near)
            np.copyto(neighbour, np.where(nearest, owner, i), where=near)
            np.copyto(first, distance, where=nearest)
            np.copyto(owner, i, where=nearest)
        self.margin = 0.5 * (self._second - self._first)

    def _split(self, i: int, neurite: int, part: Box, distance: np.ndarray) -> Iterator[Piece]:
        """Give separate pieces of one tube separate identities; leave tiny ones to the neighbours."""
        step = self.grid.step
        tiny = 85.0**2 * min(max(step[0], 80.0), self.extent[0]) / np.prod(step)
        pieces, count = ndimage.label(self.owner[part] == i, np.ones((3, 3, 3)))
        sizes = np.bincount(pieces.ravel())
        zone = np.ones_like(pieces)
        if count > 1:
            nearest = ndimage.distance_transform_edt(pieces == 0, step, return_distances=False, return_indices=True)
            zone = pieces[tuple(nearest)]
        begin = [axis.start for axis in part]
        for piece, around in enumerate(ndimage.find_objects(pieces), 1):
            if sizes[piece] >= tiny:
                low = np.maximum([axis.start - 6 for axis in around], 0)
                high = np.minimum([axis.stop + 6 for axis in around], pieces.shape)
                inner = box(low, high)
                own = np.where(zone[inner] == piece, distance[inner], np.float32(OUTSIDE))
                yield neurite, box(low + begin, high + begin), own

    def _cell(self, i: int, neurite: int, part: Box, distance: np.ndarray) -> Cell:
        """The smoothed signed depth of a piece, along the normal, and the tilt of its membrane."""
        other = np.where(self.owner[part] == i, self._second[part], self._first[part])
        margin = np.clip(0.5 * (other - distance), -REACH / 2, REACH)
        margin, steepness, slope = smoothed(margin, 14.0, self.grid.step)
        depth = margin / np.clip(steepness, 0.45, 1.0)
        return Cell(neurite, part, depth, slope / np.maximum(steepness, 0.2))


def smoothed(depth: np.ndarray, deviation: float, step: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``depth`` (z, y, x) smoothed by ``deviation`` nm once it is sampled, its steepness, and its slope along z."""
    lateral = np.sqrt(deviation**2 - SAMPLING**2)
    depth = ndimage.gaussian_filter(depth, np.array([deviation, lateral, lateral]) / step, mode="nearest", truncate=3)
    slopes = [np.gradient(depth, s, axis=a) if depth.shape[a] > 1 else 0 * depth for a, s in enumerate(step.tolist())]
    return depth, np.sqrt(sum(slope**2 for slope in slopes)), np.abs(slopes[0])
