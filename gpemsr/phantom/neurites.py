"""The neurites of the phantom: tubes of varying radius around random curves, grown to fill a block (lengths in nm)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# diameters of neurites and the share of the tissue that each class may take before the next one starts
SIZE_CLASSES = (((650.0, 1350.0), 0.09), ((280.0, 650.0), 0.36), ((130.0, 280.0), 0.74), ((80.0, 130.0), 1.0))


@dataclass
class Neurite:
    """A tube: ``points`` (n, 3) z, y, x and ``radii`` (n,)."""

    points: np.ndarray
    radii: np.ndarray

    def segments(self):
        """Pairs of neighbouring points (2, 3) and their radii (2,)."""
        return [(self.points[i : i + 2], self.radii[i : i + 2]) for i in range(len(self.points) - 1)]


def grow_neurites(rng: np.random.Generator, extent: tuple[float, float, float]) -> list[Neurite]:
    """Fill a block of ``extent`` (z, y, x nm) with neurites, thick ones first."""
    step = 40.0
    border = 120.0
    axes = [np.arange(-border, side + border + step, step, dtype=np.float32) for side in extent]
    room = np.full([len(axis) for axis in axes], 900.0, np.float32)  # distance to the nearest tube so far
    thickest = max(180.0, 0.32 * min(extent[1:]))
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

    last = np.array(room.shape) - 1

    def free(places):  # (..., 3) -> (...)
        index = np.minimum(np.maximum(np.rint((places - origin) / step).astype(int), 0), last)
        return room[index[..., 0], index[..., 1], index[..., 2]]

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
            radii.append(radius * np.exp(np.clip(swelling, -0.6, 0.35 if radius < 250.0 else 0.1)))
            heading = heading + np.sqrt(stride / 2500.0) * rng.standard_normal(3)
            if free(point + stride * heading) < 0.5 * radius:  # turn towards room
                side = rng.standard_normal((6, 3))
                tries = heading + 0.6 * side
                tries /= np.linalg.norm(tries, axis=1, keepdims=True)
                heading = tries[np.argmax(free(point + 1.5 * stride * tries))]
            heading = heading / np.sqrt(heading @ heading)
            point = point + stride * heading
            length += stride
            blocked = blocked + 1 if free(point) < -0.5 * radius else 0
            if blocked > 2:
                break
        halves.append((points, radii))
    (ahead, ahead_radii), (back, back_radii) = halves
    line = np.array([*back[::-1], *ahead[1:]])
    widths = np.array([*back_radii[::-1], *ahead_radii[1:]])
    if len(line) < 2:
        line = np.stack([line[0], line[0] + direction * stride])
        widths = np.repeat(widths[:1], 2)
    return Neurite(line, widths)


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
