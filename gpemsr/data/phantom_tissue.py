"""The tissue of the phantom: curved neurites that fill space, as smooth signed distances (lengths in nm).

Neurites are tubes of varying radius around random curves, large ones first, the rest squeezed into the gaps. Each
point belongs to the tube whose surface is nearest, in coordinates bent by smooth noise; so profiles are rounded where
they are small, indented by their neighbours where they are large, and change slowly from section to section.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from gpemsr.data.phantom_fields import SmoothNoise

PITCH = 16.0  # of the lateral grid on which the tissue is laid out
MARGIN = 96.0  # of that grid around the sections' pixels, at each side
REACH = 90.0  # how far beyond a tube's surface its distance is known
OUTSIDE = 1e4  # "distance" where it is not known
# diameters of neurites and the share of the tissue that each class may take before the next one starts
SIZE_CLASSES = (((650.0, 1500.0), 0.2), ((280.0, 650.0), 0.5), ((130.0, 280.0), 0.78), ((80.0, 130.0), 1.0))
BENDING = ((900.0, 75.0), (320.0, 36.0), (120.0, 9.0))  # wavelength and amplitude of the bending of space


@dataclass
class Neurite:
    """A tube: ``points`` (n, 3) z, y, x and ``radii`` (n,)."""

    points: np.ndarray
    radii: np.ndarray

    def segments(self):
        """Pairs of neighbouring points (2, 3) and their radii (2,)."""
        return [(self.points[i : i + 2], self.radii[i : i + 2]) for i in range(len(self.points) - 1)]


@dataclass
class Cell:
    """A connected piece of tissue on the grid: ``box`` (3 slices), signed ``depth`` (its shape, > 0 inside)."""

    neurite: int
    box: tuple[slice, slice, slice]
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

    def around(self, low: np.ndarray, high: np.ndarray) -> tuple[slice, slice, slice]:
        """The part of the grid between two corners (nm)."""
        return tuple(
            slice(int(np.searchsorted(axis, a)), int(np.searchsorted(axis, b, side="right")))
            for axis, a, b in zip(self.axes, low, high, strict=True)
        )


def grow_neurites(rng: np.random.Generator, extent: tuple[float, float, float]) -> list[Neurite]:
    """Fill a block of ``extent`` (z, y, x nm) with neurites, thick ones first."""
    step = 40.0
    border = 120.0
    axes = [np.arange(-border, side + border + step, step, dtype=np.float32) for side in extent]
    room = np.full([len(axis) for axis in axes], 900.0, np.float32)  # distance to the nearest tube so far
    thickest = max(180.0, 0.38 * min(extent[1:]))
    neurites: list[Neurite] = []
    for (low, high), share in SIZE_CLASSES:
        last = high <= 130.0
        for _ in range(20000):
            if not last and (room < 0).mean() >= share:
                break
            radius = 0.5 * min(np.exp(rng.uniform(np.log(low), np.log(high))), thickest)
            spots = np.flatnonzero(room.ravel() > (42.0 if last else 0.75 * radius))
            if spots.size == 0:
                if radius <= 0.5 * low * 1.3 or last:
                    break
                continue
            start = np.unravel_index(spots[rng.integers(spots.size)], room.shape)
            point = np.array([axis[i] for axis, i in zip(axes, start, strict=True)]) + rng.uniform(-15, 15, 3)
            neurite = _grow(rng, point, radius, axes, room, step)
            neurites.append(neurite)
            _occupy(room, axes, neurite, reach=max(0.4 * high, 60.0))
    return neurites


def _grow(rng, start, radius, axes, room, step) -> Neurite:
    """One tube through ``start``, both ways until it leaves the block or is blocked."""
    origin = np.array([axis[0] for axis in axes])
    top = np.array([axis[-1] for axis in axes])

    def free(point):
        return room[
            tuple(
                min(max(round((p - o) / step), 0), size - 1)
                for p, o, size in zip(point.tolist(), origin.tolist(), room.shape, strict=True)
            )
        ]

    direction = rng.standard_normal(3)
    if rng.random() < 0.72:  # most run across the sections
        direction = np.array([1.0, *(0.45 * rng.standard_normal(2))])
    direction /= np.linalg.norm(direction)
    stride = float(np.clip(0.7 * radius, 65.0, 160.0))
    halves = []
    for sign in (1.0, -1.0):
        point, heading, swelling, length = start.copy(), sign * direction, 0.0, 0.0
        points, radii = [], []
        blocked = 0
        while length < 7000.0 and np.all(point > origin - radius) and np.all(point < top + radius):
            points.append(point.copy())
            swelling = 0.85 * swelling + 0.13 * rng.standard_normal()
            radii.append(radius * np.exp(np.clip(swelling, -0.6, 0.35)))
            heading = heading + np.sqrt(stride / 2500.0) * rng.standard_normal(3)
            if free(point + stride * heading) < 0.5 * radius:  # turn towards room
                side = rng.standard_normal((6, 3))
                tries = heading + 0.6 * side
                tries /= np.linalg.norm(tries, axis=1, keepdims=True)
                heading = max(tries, key=lambda way: free(point + 1.5 * stride * way))
            heading = heading / np.linalg.norm(heading)
            point = point + stride * heading
            length += stride
            blocked = blocked + 1 if free(point) < -0.5 * radius else 0
            if blocked > 2:
                break
        halves.append((points, radii))
    (ahead, ahead_radii), (back, back_radii) = halves
    points = np.array([*back[::-1], *ahead[1:]])
    radii = np.array([*back_radii[::-1], *ahead_radii[1:]])
    if len(points) < 2:
        points = np.stack([points[0], points[0] + direction * stride])
        radii = np.repeat(radii[:1], 2)
    return Neurite(points, radii)


def tube_distance(points, radii, z, y, x) -> np.ndarray:
    """Signed distance (< 0 inside) of broadcast coordinates ``z, y, x`` to the segment ``points`` (2, 3)."""
    start = points[0].tolist()
    along = (points[1] - points[0]).tolist()
    length = sum(a * a for a in along) + 1e-6
    rz, ry, rx = z - start[0], y - start[1], x - start[2]
    t = rz * (along[0] / length) + ry * (along[1] / length) + rx * (along[2] / length)
    np.maximum(t, 0, out=t)
    np.minimum(t, 1, out=t)
    square = (rz - t * along[0]) ** 2
    square += (ry - t * along[1]) ** 2
    square += (rx - t * along[2]) ** 2
    np.sqrt(square, out=square)
    first, last = radii.tolist()
    square -= first + t * (last - first)
    return square


def _occupy(room, axes, neurite, reach) -> None:
    """Lower ``room`` around a new tube, up to ``reach`` from its surface."""
    for points, radii in neurite.segments():
        slack = radii.max() + reach
        low, high = np.minimum(*points) - slack, np.maximum(*points) + slack
        box = tuple(
            slice(int(np.searchsorted(axis, a)), int(np.searchsorted(axis, b)))
            for axis, a, b in zip(axes, low, high, strict=True)
        )
        if all(part.stop > part.start for part in box):
            z, y, x = (axis[part] for axis, part in zip(axes, box, strict=True))
            distance = tube_distance(points, radii, z[:, None, None], y[:, None], x)
            np.minimum(room[box], distance, out=room[box])


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
        self.bent = [self.bending[a] + axis for a, axis in enumerate(np.ix_(*(x.astype(np.float32) for x in grid.axes)))]
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
            places = points - self.bending[(slice(None), *self.grid.index(places))].T
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
        crumb = 110.0**2 * max(self.grid.step[0], 80.0) / np.prod(self.grid.step)
        result = []
        for c, (neurite, box, distance) in enumerate(fields):
            pieces, count = ndimage.label(self.owner[box] == c, structure=np.ones((3, 3, 3)))
            if count == 0:
                continue
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
        return Cell(neurite, box, depth.astype(np.float32), (np.abs(slopes[0]) / np.maximum(steepness, 0.2)).astype(np.float32))
