"""What lies in the neurites of the phantom: mitochondria, vesicles, microtubules, synapses (lengths in nm)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from gpemsr.phantom.neurites import Neurite
from gpemsr.phantom.tissue import OUTSIDE, Tissue

VESICLE_RADIUS = (16.0, 23.0)
CORE_RADIUS = (26.0, 36.0)  # dense-core vesicles
SYNAPSES_PER_UM3 = 1.5


@dataclass
class Organelles:
    """Organelles of a tissue, in its coordinates.

    Attributes:
        mito_depth: (z, y, x) float32 on the tissue's grid, signed depth in the nearest mitochondrion.
        mito_tilt: the same shape, how obliquely its membrane is cut: 0 upright, 1 flat in the section.
        mito_phase: the same shape, place along the stack of its cristae.
        vesicles, cores: (n, 4) z, y, x, radius; cores are dense-core vesicles.
        microtubules: (n, 3) points, closely spaced along them; ``microtubule_neurite`` (n,) says whose.
        synapses: (n, 6) z, y, x of a contact and the unit normal there, into the cell that sends.
    """

    mito_depth: np.ndarray
    mito_tilt: np.ndarray
    mito_phase: np.ndarray
    vesicles: np.ndarray
    cores: np.ndarray
    microtubules: np.ndarray
    microtubule_neurite: np.ndarray
    synapses: np.ndarray


def make_organelles(seed: int, tissue: Tissue) -> Organelles:
    """Place organelles in ``tissue``; deterministic in ``seed``."""
    mitochondria = _mitochondria(np.random.default_rng([seed, 3]), tissue)
    synapses, clusters = _synapses(np.random.default_rng([seed, 4]), tissue)
    vesicles, cores = _vesicles(np.random.default_rng([seed, 5]), tissue, clusters, mitochondria[0])
    microtubules, whose = _microtubules(np.random.default_rng([seed, 6]), tissue)
    depth, tilt, phase = mitochondria
    return Organelles(depth, tilt, phase, vesicles, cores, microtubules, whose, synapses)


def _mitochondria(rng, tissue: Tissue):
    grid = tissue.grid
    depth = np.full(grid.shape, -OUTSIDE, np.float32)
    phase = np.zeros(grid.shape, np.float32)
    neurite_of = np.array([*(cell.neurite for cell in tissue.cells), -1])
    for n, neurite in enumerate(tissue.neurites):
        tube = _mitochondrion(rng, neurite)
        if tube is None:
            continue
        box, distance = tissue.draw_tube(tube, 40.0)
        if box is None:
            continue
        own = neurite_of[tissue.owner[box]] == n
        room = np.where(own, tissue.margin[box], -tissue.margin[box]) - 30.0
        inside = np.minimum(-distance, room)
        wins = inside > depth[box]
        axis = tube.points[-1] - tube.points[0]
        normal = rng.standard_normal(3) * (0.35, 1.0, 1.0)  # cristae: sheets stacked along this, mostly upright
        normal -= 0.6 * axis * (normal @ axis) / (axis @ axis)
        normal /= np.linalg.norm(normal)
        along = sum(float(w) * place[box] for w, place in zip(normal, tissue.bent, strict=True))
        np.copyto(depth[box], inside, where=wins)
        np.copyto(phase[box], along, where=wins)
    depth = np.clip(depth, -60.0, 120.0)
    depth = ndimage.gaussian_filter(depth, [12.0 / step for step in grid.step], truncate=3)
    slopes = [
        np.gradient(depth, step, axis=a) if depth.shape[a] > 1 else np.zeros_like(depth)
        for a, step in enumerate(grid.step)
    ]
    steepness = np.sqrt(sum(slope**2 for slope in slopes))
    return depth, (np.abs(slopes[0]) / np.maximum(steepness, 0.3)).astype(np.float32), phase


def _mitochondrion(rng, neurite: Neurite) -> Neurite | None:
    """A sausage along a stretch of a neurite that is wide enough, or None."""
    strides = np.linalg.norm(np.diff(neurite.points, axis=0), axis=1)
    arc = np.concatenate([[0.0], np.cumsum(strides)])
    radius = float(np.median(neurite.radii))
    if radius < 100.0 or rng.random() > min(0.92, arc[-1] / 1500.0):
        return None
    length = rng.uniform(450.0, 1800.0)
    start = rng.uniform(-0.3 * length, max(arc[-1] - 0.5 * length, 1.0))
    width = min(radius * rng.uniform(0.42, 0.62), rng.uniform(130.0, 210.0))
    where = np.arange(max(start, 0.0), min(start + length, arc[-1]) + 1.0, 70.0)
    if len(where) < 3:
        return None
    points = np.stack([np.interp(where, arc, neurite.points[:, a]) for a in range(3)], 1)
    points += rng.uniform(-0.55, 0.55, 3) * (radius - width)
    points += np.cumsum(rng.normal(0, 6.0, points.shape), 0)
    ends = np.minimum(where - start, start + length - where)
    taper = np.sqrt(np.clip(ends / (1.3 * width), 0.02, 1.0))
    return Neurite(points, width * taper * rng.uniform(0.93, 1.07, len(where)))


def _synapses(rng, tissue: Tissue):
    """Contacts (n, 6) and, for each, its place and the cell that sends."""
    grid = tissue.grid
    volume = float(np.prod(grid.extent)) * 1e-9
    count = rng.poisson(SYNAPSES_PER_UM3 * volume) + int(volume > 0.5)
    sizes = np.bincount(tissue.owner[tissue.owner >= 0], minlength=len(tissue.cells))
    spots = np.flatnonzero(((tissue.margin < 7.0) & (tissue.rival >= 0) & (tissue.owner >= 0)).ravel())
    contacts: list[np.ndarray] = []
    clusters: list[tuple[np.ndarray, int]] = []
    for flat in rng.permutation(spots)[: 30 * count]:
        if len(contacts) >= count:
            break
        index = np.unravel_index(flat, grid.shape)
        pair = tissue.owner[index], tissue.rival[index]
        sender = max(pair, key=lambda c: sizes[c])
        place = np.array([axis[i] for axis, i in zip(grid.axes, index, strict=True)])
        cell = tissue.cells[sender]
        local = [i - part.start for i, part in zip(index, cell.box, strict=True)]
        if any(not 1 <= i < size - 1 for i, size in zip(local[1:], cell.depth.shape[1:], strict=True)):
            continue
        if not 0 <= local[0] < cell.depth.shape[0]:
            continue
        z, y, x = local
        normal = np.array(
            [0.0, cell.depth[z, y + 1, x] - cell.depth[z, y - 1, x], cell.depth[z, y, x + 1] - cell.depth[z, y, x - 1]]
        )
        length = np.linalg.norm(normal)
        if length < 12.0 or any(np.linalg.norm(place - other[:3]) < 350.0 for other in contacts):
            continue  # cut too obliquely to be seen as one, or too near another
        contacts.append(np.concatenate([place, normal / length]))
        clusters.append((place + 90.0 * normal / length, int(sender)))
    return np.array(contacts).reshape(-1, 6), clusters


def _vesicles(rng, tissue: Tissue, clusters, mito_depth):
    """Clouds of vesicles at synapses, a few elsewhere, and dense-core vesicles: two (n, 4)."""
    grid = tissue.grid
    inner = np.flatnonzero((tissue.margin > 60.0).ravel())
    for flat in rng.choice(inner, min(len(inner), rng.poisson(2.5 * np.prod(grid.extent) * 1e-9)), replace=False):
        index = np.unravel_index(flat, grid.shape)
        clusters = [
            *clusters,
            (np.array([a[i] for a, i in zip(grid.axes, index, strict=True)]), int(tissue.owner[index])),
        ]
    vesicles = []
    for place, cell in clusters:
        cloud = rng.normal(place, (110.0, 105.0, 105.0), (int(rng.integers(30, 220)), 3))
        vesicles.append(_fitting(rng, tissue, mito_depth, cloud, cell, VESICLE_RADIUS))
    cores = []
    for flat in rng.choice(inner, min(len(inner), rng.poisson(7 * np.prod(grid.extent) * 1e-9)), replace=False):
        index = np.unravel_index(flat, grid.shape)
        place = np.array([[axis[i] for axis, i in zip(grid.axes, index, strict=True)]])
        cores.append(_fitting(rng, tissue, mito_depth, place, int(tissue.owner[index]), CORE_RADIUS))
    return tuple(np.concatenate([np.zeros((0, 4)), *parts]) for parts in (vesicles, cores))


def _fitting(rng, tissue: Tissue, mito_depth, points, cell: int, radii) -> np.ndarray:
    """Of ``points``, those well inside ``cell``, outside mitochondria and apart from each other, with a radius."""
    index = tissue.grid.index(points)
    radius = rng.uniform(*radii, len(points))
    fits = (tissue.owner[index] == cell) & (tissue.margin[index] > radius + 12.0) & (mito_depth[index] < -radius - 10.0)
    kept: list[int] = []
    for i in np.flatnonzero(fits).tolist():
        if all(np.linalg.norm(points[i] - points[j]) > radius[i] + radius[j] + 3.0 for j in kept):
            kept.append(i)
    return np.column_stack([points[kept], radius[kept]])


def _microtubules(rng, tissue: Tissue):
    """Points every few nm along microtubules that run with their neurites: (n, 3), and whose they are (n,)."""
    points, owners = [np.zeros((0, 3))], [np.zeros(0, int)]
    for n, neurite in enumerate(tissue.neurites):
        radius = float(np.median(neurite.radii))
        count = min(rng.poisson(0.9 * (radius / 60.0) ** 1.3), 16)
        if count == 0 or len(neurite.points) < 3:
            continue
        arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(neurite.points, axis=0), axis=1))])
        where = np.arange(0.0, arc[-1], 6.0)
        line = np.stack([np.interp(where, arc, neurite.points[:, a]) for a in range(3)], 1)
        width = np.interp(where, arc, neurite.radii)
        axis = line[-1] - line[0]
        side = np.linalg.svd(axis[None] / (np.linalg.norm(axis) + 1e-6))[2][1:]  # two directions across
        middle = rng.normal(0, 0.25, 2)
        for _ in range(count):
            offset = np.clip(middle + rng.normal(0, 0.3, 2), -0.62, 0.62)
            begin, end = np.sort(rng.uniform(-0.4, 1.4, 2)) * arc[-1]
            part = slice(*np.searchsorted(where, (begin, end)))
            points.append(line[part] + (offset @ side) * width[part, None])
            owners.append(np.full(len(points[-1]), n))
    around = np.array([0.0, 80.0, 80.0])
    low, high = -around, np.array(tissue.grid.extent) + around
    places, owner = tissue.place(np.concatenate(points)), np.concatenate(owners)
    near = np.all((places > low) & (places < high), 1)
    return places[near], owner[near]
