"""A synthetic serial-section EM stack of neural tissue, for the demo and the tests.

The tissue (:mod:`gpemsr.phantom.tissue`, :mod:`gpemsr.phantom.organelles`) is laid out once in nm; each
section is then drawn as a projection through its thickness, so that membranes cut obliquely are broad and faint, as
they are in sections for transmission EM, and imaged with jitter, contrast drift, shot noise and blur.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from gpemsr.errors import InputError
from gpemsr.phantom.camera import Camera
from gpemsr.phantom.fields import SmoothNoise, Taps
from gpemsr.phantom.organelles import Organelles, make_organelles
from gpemsr.phantom.tissue import MARGIN, PITCH, Tissue

# grey values, 0 black to 1 white
CYTOPLASM, DARK_CYTOPLASM, EXTRACELLULAR, MEMBRANE = 0.66, 0.54, 0.34, 0.06
MATRIX, MITO_MEMBRANE, CRISTA = 0.38, 0.18, 0.55
LAYER = 3.0  # nm, deviation of the bell that stands for a membrane
MEMBRANE_DEPTH = 4.0  # nm, of the middle of the membrane below the cell's surface
PROJECTED = 0.8  # share of a section's thickness through which membranes are smeared
FINEST = 5.0  # nm, pixels larger than that are averaged from finer ones


@dataclass(frozen=True)
class Phantom:
    """A synthetic stack.

    Attributes:
        raw: (z, y, x) uint8.
        ids: (z, y, x) uint32, the cell of each voxel; 0 = membrane or extracellular space.
        voxel_size: z, y, x in nm.
    """

    raw: np.ndarray
    ids: np.ndarray
    voxel_size: tuple[float, float, float]


def make_phantom(
    shape: tuple[int, int, int] = (24, 512, 512),
    voxel_size: tuple[float, float, float] = (40.0, 4.0, 4.0),
    seed: int = 0,
    *,
    jitter: float = 3.0,
    drift: float = 1.0,
    blur: float = 2.2,
    dose: float = 36.0,
) -> Phantom:
    """Make a synthetic EM stack. The same arguments give the same bytes on one machine.

    Args:
        shape: z, y, x in voxels; y and x at least 16.
        voxel_size: z, y, x in nm; y equals x, from 1 to 64; z from 1 to 200 is the sections' thickness too.
        seed: of everything random, not negative.
        jitter: nm, deviation of the shift of each section (some sections shift three times as far).
        drift: contrast drift from section to section, 1 = as usual, 0 = none.
        blur: nm, deviation of the beam.
        dose: electrons per pixel of full brightness; more means less noise, 0 means none.

    Raises:
        InputError: an argument out of its range.
    """
    sections = list(phantom_sections(shape, voxel_size, seed, jitter=jitter, drift=drift, blur=blur, dose=dose))
    raw, ids = (np.stack(arrays) for arrays in zip(*sections, strict=True))
    z, y, x = (float(size) for size in voxel_size)
    return Phantom(raw, ids, (z, y, x))


def phantom_sections(
    shape, voxel_size, seed=0, *, jitter=3.0, drift=1.0, blur=2.2, dose=36.0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The sections of :func:`make_phantom` one by one: raw (y, x) uint8 and ids (y, x) uint32."""
    check_phantom(shape, voxel_size, seed, jitter=jitter, drift=drift, blur=blur, dose=dose)
    tissue = Tissue(seed, tuple(shape), tuple(voxel_size))
    painter = Painter(seed, tissue, make_organelles(seed, tissue), tuple(shape), tuple(voxel_size))
    rng = np.random.default_rng([seed, 7])
    far = np.where(rng.random(shape[0]) < 0.08, 3.0, 1.0)
    shifts = np.clip(jitter * far[:, None] * rng.standard_normal((shape[0], 2)), -0.4 * MARGIN, 0.4 * MARGIN)
    camera = Camera(seed, shape, voxel_size, drift, blur, dose)
    for k in range(shape[0]):
        image, ids = painter.section(k, shifts[k])
        yield camera.expose(k, image), ids


def check_phantom(shape, voxel_size, seed=0, **amounts) -> None:
    """Refuse, with :class:`InputError`, what :func:`make_phantom` cannot do."""
    if len(shape) != 3 or any(int(size) != size for size in shape) or shape[0] < 1 or min(shape[1:]) < 16:
        raise InputError(f"phantom: shape {tuple(shape)}; z of 1 or more, y and x of 16 or more fit")
    if len(voxel_size) != 3 or voxel_size[1] != voxel_size[2] or not 1 <= voxel_size[1] <= 64:
        raise InputError(f"phantom: voxel size {tuple(voxel_size)} nm; y = x from 1 to 64 nm fits")
    if not 1 <= voxel_size[0] <= 200:
        raise InputError(f"phantom: voxel size {tuple(voxel_size)} nm; z from 1 to 200 nm fits")
    if int(seed) != seed or seed < 0:
        raise InputError(f"phantom: seed {seed}; 0 or a positive integer fits")
    for name, amount in amounts.items():
        if not (np.isfinite(amount) and amount >= 0):
            raise InputError(f"phantom: {name} {amount}; 0 or more fits")


class Painter:
    """Draws one section of a tissue: brightness (y, x) float32 without noise, and cell ids."""

    def __init__(self, seed: int, tissue: Tissue, organelles: Organelles, shape, voxel_size):
        self._tissue, self._organelles = tissue, organelles
        self._thickness = voxel_size[0]
        self._fine = int(np.ceil(voxel_size[1] / FINEST))
        self.pitch = voxel_size[1] / self._fine
        self._size = (shape[1] * self._fine, shape[2] * self._fine)
        rng = np.random.default_rng([seed, 8])
        count = len(tissue.cells)
        dark = rng.random(count) < 0.13
        tone = np.where(dark, DARK_CYTOPLASM, CYTOPLASM) + rng.normal(0, 0.035, count)
        self._tone = tone.astype(np.float32)
        self._grain = (np.where(dark, 1.4, 1.0) * rng.uniform(0.7, 1.3, count)).astype(np.float32)
        self._neurite = np.array([cell.neurite for cell in tissue.cells])
        lateral = tuple(side + 2 * MARGIN for side in tissue.grid.extent[1:])
        self._noise = {
            name: SmoothNoise((seed, 9, n), lateral, length)
            for n, (name, length) in enumerate(
                [
                    ("gap", 200), ("fine", 8), ("grain", 15), ("clump", 40),
                    ("shade", 350), ("sacs", 75), ("where", 260), ("crista", 60),
                ]
            )
        }  # fmt: skip

    def section(self, k: int, shift) -> tuple[np.ndarray, np.ndarray]:
        """Section ``k`` seen ``shift`` (y, x) nm away from its place: brightness in [0, 1] and uint32 ids."""
        y, x = ((np.arange(size) + 0.5) * self.pitch + s for size, s in zip(self._size, shift, strict=True))
        z = self._tissue.grid.z[k]
        noise = {name: field(z, y, x) for name, field in self._noise.items()}
        owner, depth, smear, other, other_smear = self._cells(k, y, x)
        half_gap = 2.2 + np.clip(1.3 * noise["gap"], -1.5, 4.0)
        depth -= half_gap
        other -= half_gap

        image = self._tone[owner] + self._texture(noise, owner)
        image = self._sacs(image, noise, depth)
        mito, *mito_rest = self._mitochondria(k, y, x)
        image = self._small_things(image, k, y, x, owner, depth, mito)
        there = np.flatnonzero(mito.ravel() > -25.0)
        part = (a.ravel()[there] for a in (image, mito, *mito_rest))
        image.ravel()[there] = self._paint_mitochondria({n: a.ravel()[there] for n, a in noise.items()}, *part)
        inside = ndtr(depth / np.hypot(LAYER, 0.58 * smear))
        image = inside * image + (1 - inside) * EXTRACELLULAR
        wall = _layer(depth, MEMBRANE_DEPTH, smear) + _layer(other, MEMBRANE_DEPTH, other_smear)
        image += (MEMBRANE - image) * np.minimum(0.93 * wall, 0.95)
        image = self._paint_synapses(image, z, y, x, depth)

        ids = np.where(depth > 2 * MEMBRANE_DEPTH, owner + 1, 0).astype(np.uint32)
        if self._fine > 1:
            step = self._fine
            image = image.reshape(image.shape[0] // step, step, -1, step).mean((1, 3))
            ids = ids[step // 2 :: step, step // 2 :: step]
        return image.astype(np.float32), np.ascontiguousarray(ids)

    def _taps(self, origin, size, y, x):
        """The pixels that a plane (h, w) of the grid at ``origin`` covers, and how to carry it there (None: none)."""
        grid = self._tissue.grid
        rows, columns = (y - grid.y[0]) / PITCH - origin[0], (x - grid.x[0]) / PITCH - origin[1]
        part = tuple(
            slice(*np.searchsorted(place, (0.5, n - 1.5)).tolist())
            for place, n in zip((rows, columns), size, strict=True)
        )
        if min(size) < 4 or any(p.stop <= p.start for p in part):
            return part, None
        return part, Taps(rows[part[0]], columns[part[1]], *size)

    def _cells(self, k, y, x):
        """Per pixel: the cell it lies in, depth and smear (nm) of its surface, and those of the nearest other cell."""
        shape = (len(y), len(x))
        owner = np.zeros(shape, np.int32)
        depth, other = np.full(shape, -45.0, np.float32), np.full(shape, -45.0, np.float32)
        smear, other_smear = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        for c, cell in enumerate(self._tissue.cells):
            if not cell.box[0].start <= k < cell.box[0].stop:
                continue
            plane, tilt = cell.depth[k - cell.box[0].start], cell.tilt[k - cell.box[0].start]
            near = plane > -40.0
            rows, columns = (np.flatnonzero(near.any(axis)) for axis in (1, 0))
            if not rows.size:
                continue
            window = tuple(slice(max(n[0] - 2, 0), n[-1] + 3) for n in (rows, columns))
            plane, tilt = plane[window], tilt[window]
            origin = [part.start + inner.start for part, inner in zip(cell.box[1:], window, strict=True)]
            part, taps = self._taps(origin, plane.shape, y, x)
            if taps is None:
                continue
            mine = taps(plane)
            tilt = np.clip(taps(tilt), 0, 1) * np.float32(PROJECTED / 2 * self._thickness)
            d, o, s, os, w = (a[part] for a in (depth, other, smear, other_smear, owner))
            second, first = mine > o, mine > d
            np.copyto(o, np.where(first, d, mine), where=second)
            np.copyto(os, np.where(first, s, tilt), where=second)
            np.copyto(d, mine, where=first)
            np.copyto(s, tilt, where=first)
            np.copyto(w, c, where=first)
        return owner, depth, smear, other, other_smear

    def _texture(self, noise, owner):
        grain = 0.06 * noise["fine"] + 0.06 * noise["grain"] + 0.03 * noise["clump"] + 0.02
        grain -= 0.17 * np.maximum(noise["grain"] + 0.5 * noise["clump"] - 1.0, 0)  # ribosomes and filaments
        return grain * self._grain[owner] + 0.02 * noise["shade"]

    def _sacs(self, image, noise, depth):
        """Smooth endoplasmic reticulum: thin light sacs with dark walls, here and there away from the surface."""
        there = np.clip((noise["where"] - 0.55) * 4, 0, 1) * np.clip((depth - 28) / 12, 0, 1)
        slope = np.hypot(*np.gradient(noise["sacs"], self.pitch))
        away = np.abs(noise["sacs"]) / np.maximum(slope, 0.007)
        wall = np.exp(-(((away - 15.0) / 5.0) ** 2))
        image = image + there * (0.05 * (away < 12.0) - 0.26 * wall)
        return image

    def _mitochondria(self, k, y, x):
        _, taps = self._taps((0, 0), self._tissue.grid.shape[1:], y, x)
        o = self._organelles
        return (
            taps(o.mito_depth[k]),
            PROJECTED / 2 * self._thickness * np.clip(taps(o.mito_tilt[k]), 0, 1),
            taps(o.mito_phase[k]),
        )

    def _paint_mitochondria(self, noise, image, depth, smear, phase):
        """Double membrane, dense matrix and cristae, on the pixels given (n,)."""
        inside = ndtr((depth - 4.0) / np.hypot(LAYER, 0.58 * smear))
        wave = (phase + 17.0 * noise["crista"] + 5.0 * noise["grain"]) / 62.0
        away = np.abs(wave - np.rint(wave)) * 62.0
        present = np.clip((noise["sacs"] + 0.75) * 2.5, 0, 1) * np.clip((depth - 20.0) / 8.0, 0, 1)
        body = MATRIX + 0.035 * noise["fine"] + 0.025 * noise["grain"] + 0.02 * noise["shade"]
        body += present * (CRISTA - MATRIX) * np.exp(-((away / 6.5) ** 2))
        body -= present * 0.15 * np.exp(-(((away - 11.5) / 4.5) ** 2))
        image = image + inside * (body - image)
        gap = _layer(depth, 11.5, smear) * (depth < 60)
        image = image + 0.35 * gap * (CYTOPLASM - image)
        walls = _layer(depth, 5.0, smear) + 0.9 * _layer(depth, 18.0, smear)
        return image + np.minimum(0.9 * walls, 0.95) * (MITO_MEMBRANE - image)

    def _small_things(self, image, k, y, x, owner, depth, mito):
        """Vesicles, dense cores and microtubules, clipped to the cytoplasm."""
        o, z, half = self._organelles, self._tissue.grid.z[k], 0.5 * self._thickness
        dark, light = np.zeros_like(depth), np.zeros_like(depth)
        for balls, ring, core in ((o.vesicles, 0.3, -0.04), (o.cores, 0.3, 0.4)):
            beyond = np.maximum(np.abs(balls[:, 0] - z) - half, 0)
            seen = balls[beyond < 0.8 * balls[:, 3]]
            radius = np.sqrt(seen[:, 3] ** 2 - beyond[beyond < 0.8 * balls[:, 3]] ** 2)[:, None, None]
            rows, columns, away = self._patches(seen[:, 1:3], y, x, 44.0)
            shell = ring * np.exp(-(((away - radius + 3.5) / 4.2) ** 2))
            np.maximum.at(dark, (rows, columns), shell + max(core, 0) * ndtr((radius - 11.0 - away) / 3.0))
            np.maximum.at(light, (rows, columns), -min(core, 0) * ndtr((radius - 7.0 - away) / 3.0))
        seen = np.abs(o.microtubules[:, 0] - z) <= half + 3.0
        points, whose = o.microtubules[seen], o.microtubule_neurite[seen]
        row, column = (np.rint((points[:, a] - axis[0]) / self.pitch).astype(int) for a, axis in ((1, y), (2, x)))
        valid = (row >= 0) & (row < len(y)) & (column >= 0) & (column < len(x))
        row, column, points, whose = row[valid], column[valid], points[valid], whose[valid]
        own = self._neurite[owner[row, column]] == whose
        rows, columns, away = self._patches(points[own, 1:3], y, x, 18.0)
        np.maximum.at(dark, (rows, columns), 0.24 * np.exp(-(((away - 8.0) / 5.0) ** 2)))
        free = np.clip((depth - 16.0) / 8.0, 0, 1) * np.clip((-6.0 - mito) / 8.0, 0, 1)
        return image + free * (light - dark)

    def _patches(self, places, y, x, reach):
        """Square patches about ``places`` (n, 2): rows and columns (n, m, m) and distances (nm) from the place."""
        half = int(np.ceil(reach / self.pitch))
        span = np.arange(-half, half + 1)
        row, column = ((places[:, a] - axis[0]) / self.pitch for a, axis in enumerate((y, x)))
        rows, columns = np.rint(row)[:, None, None] + span[:, None], np.rint(column)[:, None, None] + span
        away = self.pitch * np.hypot(rows - row[:, None, None], columns - column[:, None, None])
        rows, columns = np.broadcast_arrays(rows.astype(int), columns.astype(int))
        valid = (rows >= 0) & (rows < len(y)) & (columns >= 0) & (columns < len(x))
        away = np.where(valid, away, 1e3)
        return np.clip(rows, 0, len(y) - 1), np.clip(columns, 0, len(x) - 1), away

    def _paint_synapses(self, image, z, y, x, depth):
        """Dense material on both sides of a contact, and a dense bar in the sending cell."""
        for place in self._organelles.synapses:
            away = abs(place[0] - z)
            if away > 150.0:
                continue
            part = tuple(
                slice(*np.searchsorted(axis, (p - 220, p + 220))) for axis, p in zip((y, x), place[1:3], strict=True)
            )
            dy, dx = (axis[p] - c for axis, p, c in zip((y, x), part, place[1:3], strict=True))
            dy = dy[:, None]
            near = np.exp(-(((dy**2 + dx**2 + away**2) / 115.0**2) ** 2))
            dense = 0.85 * near * np.exp(-(((depth[part] - 6.0) / 13.0) ** 2))
            bar = np.exp(-((dy - 30.0 * place[4]) ** 2 + (dx - 30.0 * place[5]) ** 2) / 26.0**2 - (away / 70.0) ** 2)
            image[part] += np.minimum(dense + 0.6 * bar, 0.9) * (0.08 - image[part])
        return image


def _layer(depth, middle: float, smear):
    """A membrane at ``depth`` = ``middle`` seen through a section in which its depth varies by +-``smear``."""
    half, away = np.maximum(smear, 0.5).ravel(), np.ravel(depth - middle)
    near = np.flatnonzero(np.abs(away) < half + 3.5 * LAYER)
    half, away = half[near], away[near]
    seen = np.zeros(depth.size, np.float32)
    seen[near] = (ndtr((away + half) / LAYER) - ndtr((away - half) / LAYER)) * (LAYER * 2.5066 / (2 * half))
    return seen.reshape(depth.shape)
