"""The neurites of the phantom: tubes of varying radius around random curves, grown to fill a block (lengths in nm)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpemsr.phantom.tubes import Grid, Tube

STEP, BORDER = 40.0, 120.0  # of the grid on which free space is looked for
# diameters of neurites and the share of the tissue that each class may take before the next one starts
SIZE_CLASSES = (((650.0, 1350.0), 0.09), ((280.0, 650.0), 0.36), ((130.0, 280.0), 0.74), ((80.0, 130.0), 1.0))


def grow_neurites(rng: np.random.Generator, extent: Sequence[float]) -> list[Tube]:
    """Fill a block of ``extent`` (z, y, x nm) with neurites, thick ones first."""
    grid = Grid((-BORDER,) * 3, (STEP,) * 3, [int(np.ceil((side + 2 * BORDER) / STEP)) + 1 for side in extent])
    room = np.full(grid.shape, 900.0, np.float32)  # distance to the nearest tube so far
    thickest = max(180.0, 0.32 * min(extent[1:]))
    neurites: list[Tube] = []
    for (low, high), share in SIZE_CLASSES:
        while (room < 0).mean() < share:
            radius = 0.5 * min(np.exp(rng.uniform(np.log(low), np.log(high))), thickest)
            spots = np.flatnonzero(room > (42.0 if share == 1 else 0.75 * radius))
            if spots.size:
                spot = np.unravel_index(spots[rng.integers(spots.size)], room.shape)
                start = grid.points(spot) + rng.uniform(-15, 15, 3)
                neurites.append(_grow(rng, start, radius, grid, room))
                part, distance = grid.draw(neurites[-1], max(0.4 * high, 60.0))
                np.minimum(room[part], distance, out=room[part])
            elif share == 1 or radius <= 0.65 * low:
                break
    return neurites


def _grow(rng, start, radius, grid, room) -> Tube:
    """One tube through ``start``, both ways until it leaves the block or is blocked."""
    direction = rng.standard_normal(3)
    if rng.random() < 0.72:  # most run across the sections
        direction = np.array([1.0, *(0.45 * rng.standard_normal(2))])
    direction /= np.linalg.norm(direction)
    stride = float(np.clip(0.7 * radius, 65.0, 160.0))
    length = 7000 / stride
    reach = STEP / 2 * (np.array(grid.shape) - 1)
    middle = grid.first + reach
    halves = []
    for heading in (direction, -direction):
        point, swelling, blocked = start, 0.0, 0
        half: list[list[float]] = []
        while len(half) < length and blocked < 3 and np.all(abs(point - middle) < reach + radius):
            swelling = 0.85 * swelling + 0.13 * rng.standard_normal()
            half.append([*point, radius * np.exp(np.clip(swelling, -0.6, 0.35 if radius < 250 else 0.1))])
            heading = heading + np.sqrt(stride / 2500) * rng.standard_normal(3)
            if room[grid.index(point + stride * heading)] < 0.5 * radius:  # turn towards room
                tries = heading + 0.6 * rng.standard_normal((6, 3))
                tries /= np.linalg.norm(tries, axis=1, keepdims=True)
                heading = tries[np.argmax(room[grid.index(point + 1.5 * stride * tries)])]
            heading = heading / np.linalg.norm(heading)
            point = point + stride * heading
            blocked = blocked + 1 if room[grid.index(point)] < -0.5 * radius else 0
        halves.append(half)
    ahead, back = halves
    line = np.array([*back[::-1], *ahead[1:]])
    if len(line) == 1:
        line = line + np.outer((0, stride), (*direction, 0))
    return Tube(line[:, :3], line[:, 3])
