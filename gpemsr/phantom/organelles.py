"""What lies in the neurites of the phantom: mitochondria, vesicles, microtubules, synapses (lengths in nm)."""

from __future__ import annotations

import numpy as np

from gpemsr.phantom.tissue import Tissue, smoothed
from gpemsr.phantom.tubes import OUTSIDE, Tube

VESICLE_RADIUS, CORE_RADIUS, MICROTUBULE_RADIUS = (16.0, 23.0), (26.0, 36.0), 11.5
SYNAPSES, CLOUDS, CORES = 1.5, 2.5, 7.0  # of each, and of clouds of vesicles away from synapses, per cubic micrometre


class Organelles:
    """Organelles of a tissue, in its coordinates; deterministic in ``seed``.

    Attributes:
        mitochondria: three (z, y, x) float32 on the tissue's grid: signed depth in the nearest mitochondrion, how
            obliquely its membrane is cut (0 upright, 1 flat in the section), place along the stack of its cristae.
        synapses: (n, 6) z, y, x of a contact and the unit normal there, into the cell that sends.
        vesicles, cores: (n, 4) z, y, x, radius; cores are dense-core vesicles.
        microtubules: (n, 4) the same of closely spaced points along them.
    """

    def __init__(self, seed: int, tissue: Tissue):
        mitochondria, synapses, vesicles, microtubules = (np.random.default_rng([seed, n]) for n in (3, 4, 5, 6))
        self.mitochondria = _mitochondria(mitochondria, tissue)
        self.synapses, clouds = _synapses(synapses, tissue)
        self.vesicles, self.cores = _vesicles(vesicles, tissue, clouds, self.mitochondria[0])
        self.microtubules = _microtubules(microtubules, tissue)


def _mitochondria(rng, tissue: Tissue):
    """Depth, tilt and phase, as in :class:`Organelles`."""
    depth, phase = np.full(tissue.grid.shape, -OUTSIDE, np.float32), np.zeros(tissue.grid.shape, np.float32)
    for n, neurite in enumerate(tissue.neurites):
        tube = _mitochondrion(rng, neurite)
        if tube is None:
            continue
        box, distance = tissue.grid.draw(tube, 40.0)
        room = np.where(tissue.neurite[box] == n, tissue.margin[box], -tissue.margin[box]) - 30.0
        inside = np.minimum(-distance, room)
        axis = tube.points[-1] - tube.points[0]
        normal = rng.standard_normal(3) * (0.35, 1.0, 1.0)  # cristae: sheets stacked along this, mostly upright
        normal -= 0.6 * axis * (normal @ axis) / (axis @ axis)
        normal /= np.linalg.norm(normal)
        along = sum(w * bent[box] for w, bent in zip(normal.tolist(), tissue.grid.bent, strict=True))
        np.copyto(phase[box], along, where=inside > depth[box])
        np.maximum(depth[box], inside, out=depth[box])
    depth, steepness, slope = smoothed(np.clip(depth, -60.0, 120.0), 12.0, tissue.grid.step)
    return depth, slope / np.maximum(steepness, 0.3), phase


def _mitochondrion(rng, neurite: Tube) -> Tube | None:
    """A sausage along a stretch of a neurite that is wide enough, or None."""
    length_there, radius = neurite.arc[-1], float(np.median(neurite.radii))
    if radius < 100.0 or rng.random() > min(0.92, length_there / 1500.0):
        return None
    length = rng.uniform(450.0, 1800.0)
    start = rng.uniform(-0.3 * length, max(length_there - 0.5 * length, 1.0))
    width = min(radius * rng.uniform(0.42, 0.62), rng.uniform(130.0, 210.0))
    arc = np.arange(max(start, 0.0), min(start + length, length_there) + 1.0, 70.0)
    if len(arc) < 3:
        return None
    points = neurite.at(arc) + rng.uniform(-0.55, 0.55, 3) * (radius - width)
    points += np.cumsum(rng.normal(0, 6.0, points.shape), 0)
    ends = np.minimum(arc - start, start + length - arc)
    taper = np.sqrt(np.clip(ends / (1.3 * width), 0.02, 1.0))
    return Tube(points, width * taper * rng.uniform(0.93, 1.07, len(arc)))


def _synapses(rng, tissue: Tissue) -> tuple[np.ndarray, list[tuple[np.ndarray, int]]]:
    """Contacts (n, 6) and, for each, the middle of its cloud of vesicles and the cell that sends."""
    volume = np.prod(tissue.extent) * 1e-9
    count = rng.poisson(SYNAPSES * volume) + int(volume > 0.5)
    sizes = np.bincount(tissue.owner.ravel() + 1)[1:]
    inner = np.s_[:, 1:-1, 1:-1]
    spots = np.argwhere((tissue.margin[inner] < 7.0) & (tissue.neighbour[inner] >= 0)) + np.array([0, 1, 1])
    contacts: list[np.ndarray] = []
    clouds = []
    for z, y, x in rng.permutation(spots)[: 30 * count]:
        sender = max(tissue.owner[z, y, x], tissue.neighbour[z, y, x], key=lambda cell: sizes[cell])
        around = np.s_[z, y - 1 : y + 2, x - 1 : x + 2]
        depth = np.where(tissue.owner[around] == sender, tissue.margin[around], -tissue.margin[around])
        normal = np.array([0.0, depth[2, 1] - depth[0, 1], depth[1, 2] - depth[1, 0]])
        length = np.linalg.norm(normal)
        place = tissue.grid.points((z, y, x))
        apart = all(np.linalg.norm(place - other[:3]) > 350.0 for other in contacts)
        if len(contacts) < count and apart and length > 12.0:  # else cut too obliquely to be seen as one
            contacts.append(np.concatenate([place, normal / length]))
            clouds.append((place + 90.0 * normal / length, int(sender)))
    return np.array(contacts).reshape(-1, 6), clouds


def _vesicles(rng, tissue: Tissue, clouds, mito_depth) -> list[np.ndarray]:
    """Clouds of vesicles at synapses, a few elsewhere, and dense-core vesicles: two (n, 4)."""
    spots = np.argwhere(tissue.margin > 60.0)

    def places(density):
        count = rng.poisson(density * np.prod(tissue.extent) * 1e-9)
        return [(tissue.grid.points(spot), tissue.owner[tuple(spot)]) for spot in rng.permutation(spots)[:count]]

    def fitting(points, cell, radii):
        """Those of ``points`` well inside ``cell``, outside mitochondria and apart from each other, with a radius."""
        index, radius = tissue.grid.index(points), rng.uniform(*radii, len(points))
        fits = (tissue.owner[index] == cell) & (tissue.margin[index] > radius + 12) & (mito_depth[index] < -radius - 10)
        kept = np.zeros((0, 4))
        for ball in np.column_stack([points, radius])[fits]:
            if np.all(np.linalg.norm(kept[:, :3] - ball[:3], axis=1) > kept[:, 3] + ball[3] + 3.0):
                kept = np.vstack([kept, ball])
        return kept

    vesicles = [
        fitting(rng.normal(place, (110.0, 105.0, 105.0), (rng.integers(30, 220), 3)), cell, VESICLE_RADIUS)
        for place, cell in [*clouds, *places(CLOUDS)]
    ]
    cores = [fitting(place[None], cell, CORE_RADIUS) for place, cell in places(CORES)]
    return [np.concatenate([np.zeros((0, 4)), *balls]) for balls in (vesicles, cores)]


def _microtubules(rng, tissue: Tissue) -> np.ndarray:
    """Points every few nm along microtubules that run with their neurites: (n, 4)."""
    found = [np.zeros((0, 4))]
    for n, neurite in enumerate(tissue.neurites):
        count = min(rng.poisson(0.9 * (np.median(neurite.radii) / 60.0) ** 1.3), 16)
        middle = rng.normal(0, 0.25, 3)
        for _ in range(count):
            offset = np.clip(middle + rng.normal(0, 0.3, 3), -0.62, 0.62)
            begin, end = np.sort(rng.uniform(-0.4, 1.4, 2)) * neurite.arc[-1]
            arc = np.arange(max(begin, 0), min(end, neurite.arc[-1]), 6.0)
            width = np.interp(arc, neurite.arc, neurite.radii)
            places = tissue.grid.place(neurite.at(arc) + offset * width[:, None])
            own = tissue.neurite[tissue.grid.index(places)] == n
            found.append(np.insert(places[own], 3, MICROTUBULE_RADIUS, 1))
    return np.concatenate(found)
