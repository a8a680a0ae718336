"""Sections of the phantom's tissue without noise (lengths in nm, brightness 0 black to 1 white)."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from gpemsr.phantom.fields import SmoothNoise, spline
from gpemsr.phantom.organelles import CORE_RADIUS, MICROTUBULE_RADIUS, VESICLE_RADIUS, Organelles
from gpemsr.phantom.tissue import MARGIN, PITCH, Tissue

CYTOPLASM, DARK_CYTOPLASM, EXTRACELLULAR, MEMBRANE = 0.66, 0.54, 0.34, 0.06
MATRIX, MITO_MEMBRANE, CRISTA, SYNAPSE = 0.38, 0.18, 0.55, 0.08
LAYER = 3.0  # deviation of the bell that stands for a membrane
MEMBRANE_DEPTH = 4.0  # of the middle of the membrane below the cell's surface
PROJECTED = 0.8  # share of a section's thickness through which membranes are smeared
FINEST = 5.0  # pixels larger than that are averaged from finer ones
# lengths over which the texture varies
TEXTURES = {"gap": 200, "fine": 8, "grain": 15, "clump": 40, "shade": 350, "sacs": 75, "where": 260, "crista": 60}


class Painter:
    """Draws one section of a tissue: brightness (y, x) float32 without noise, and cell ids."""

    def __init__(self, seed: int, tissue: Tissue, organelles: Organelles, shape, voxel_size):
        self._tissue, self._organelles, self._thickness = tissue, organelles, voxel_size[0]
        self._fine = int(np.ceil(voxel_size[1] / FINEST))
        self._pitch = voxel_size[1] / self._fine
        self._size = (shape[1] * self._fine, shape[2] * self._fine)
        rng = np.random.default_rng([seed, 8])
        count = len(tissue.cells)
        dark = rng.random(count) < 0.13
        tone = np.where(dark, DARK_CYTOPLASM, CYTOPLASM) + rng.normal(0, 0.035, count)
        self._tone = tone.astype(np.float32)
        self._contrast = (np.where(dark, 1.4, 1.0) * rng.uniform(0.7, 1.3, count)).astype(np.float32)
        lateral = [side + 2 * MARGIN for side in tissue.extent[1:]]
        self._noise = {name: SmoothNoise((seed, 9, n), lateral, TEXTURES[name]) for n, name in enumerate(TEXTURES)}

    def section(self, k: int, shift) -> tuple[np.ndarray, np.ndarray]:
        """Section ``k`` seen ``shift`` (y, x) nm away from its place: brightness in [0, 1] and uint32 ids."""
        y, x = ((np.arange(size) + 0.5) * self._pitch + s for size, s in zip(self._size, shift, strict=True))
        z = self._tissue.grid.axes[0][k]
        noise = {name: field(z, y, x) for name, field in self._noise.items()}
        grid = self._tissue.grid
        at = [(places - first) / PITCH for places, first in zip((y, x), grid.first[1:], strict=True)]
        rows, columns = (spline(places, size).toarray() for places, size in zip(at, grid.shape[1:], strict=True))
        half_gap = 2.2 + np.clip(1.3 * noise["gap"], -1.5, 4.0)
        owner, depth, smear, wall = self._cells(k, at, rows, columns, half_gap)
        image = self._cytoplasm(noise, owner, depth)
        mito, tilt, phase = (rows @ field[k] @ columns.T for field in self._organelles.mitochondria)
        free = np.clip((depth - 16.0) / 8.0, 0, 1) * np.clip((-6.0 - mito) / 8.0, 0, 1)
        image -= free * self._small_things(z, y, x)
        there = mito > -25.0
        image[there] = self._mitochondria(
            {name: field[there] for name, field in noise.items()},
            image[there], mito[there], PROJECTED / 2 * self._thickness * tilt[there], phase[there],
        )  # fmt: skip
        inside = ndtr(depth / np.hypot(LAYER, 0.58 * smear))
        image = inside * image + (1 - inside) * EXTRACELLULAR
        image += (MEMBRANE - image) * np.minimum(0.93 * wall, 0.95)
        self._paint_synapses(image, z, y, x, depth)

        ids = np.where(depth > 2 * MEMBRANE_DEPTH, owner + 1, 0).astype(np.uint32)
        if (step := self._fine) > 1:
            image = image.reshape(len(y) // step, step, -1, step).mean((1, 3))
            ids = ids[step // 2 :: step, step // 2 :: step]
        return image.astype(np.float32), np.ascontiguousarray(ids)

    def _cells(self, k, at, rows, columns, half_gap):
        """Per pixel: the cell it lies in, depth and smear of its surface, darkness of the membranes there.

        Pixels lie ``at`` these places of the grid; ``rows`` and ``columns`` carry the grid to them.
        """
        owner = np.zeros(half_gap.shape, np.int32)
        depth, smear, wall = np.full(half_gap.shape, -45.0, np.float32), *np.zeros((2, *half_gap.shape), np.float32)
        for i, cell in enumerate(self._tissue.cells):
            z, y, x = cell.box
            if not z.start <= k < z.stop or cell.depth[k - z.start].max() < -40.0:
                continue
            part = tuple(slice(*np.searchsorted(a, (b.start + 1, b.stop - 2))) for a, b in zip(at, (y, x), strict=True))
            down, right = rows[part[0], y], columns[part[1], x].T
            mine = down @ cell.depth[k - z.start] @ right - half_gap[part]
            blur = PROJECTED / 2 * self._thickness * (down @ cell.tilt[k - z.start] @ right)
            wall[part] += _layer(mine, MEMBRANE_DEPTH, blur)
            first = mine > depth[part]
            for whole, new in ((owner, i), (smear, blur), (depth, mine)):
                np.copyto(whole[part], new, where=first)
        return owner, depth, smear, wall

    def _cytoplasm(self, noise, owner, depth):
        """Grain of ribosomes and filaments; smooth endoplasmic reticulum: thin light sacs with dark walls."""
        grain = 0.06 * noise["fine"] + 0.06 * noise["grain"] + 0.03 * noise["clump"] + 0.02
        grain -= 0.17 * np.maximum(noise["grain"] + 0.5 * noise["clump"] - 1.0, 0)
        there = np.clip((noise["where"] - 0.55) * 4, 0, 1) * np.clip((depth - 28) / 12, 0, 1)
        slope = np.hypot(*np.gradient(noise["sacs"], self._pitch))
        away = np.abs(noise["sacs"]) / np.maximum(slope, 0.007)
        sacs = there * (0.05 * (away < 12.0) - 0.26 * _bell(away - 15.0, 5.0))
        return self._tone[owner] + grain * self._contrast[owner] + 0.02 * noise["shade"] + sacs

    def _mitochondria(self, noise, image, depth, smear, phase):
        """Double membrane, dense matrix and cristae, on the pixels given (n,)."""
        inside = ndtr((depth - 4.0) / np.hypot(LAYER, 0.58 * smear))
        wave = (phase + 17.0 * noise["crista"] + 5.0 * noise["grain"]) / 62.0
        away = np.abs(wave - np.rint(wave)) * 62.0
        present = np.clip((noise["sacs"] + 0.75) * 2.5, 0, 1) * np.clip((depth - 20.0) / 8.0, 0, 1)
        body = MATRIX + 0.035 * noise["fine"] + 0.025 * noise["grain"] + 0.02 * noise["shade"]
        body += present * ((CRISTA - MATRIX) * _bell(away, 6.5) - 0.15 * _bell(away - 11.5, 4.5))
        image = image + inside * (body - image)
        image = image + 0.35 * _layer(depth, 11.5, smear) * (CYTOPLASM - image)
        walls = _layer(depth, 5.0, smear) + 0.9 * _layer(depth, 18.0, smear)
        return image + np.minimum(0.9 * walls, 0.95) * (MITO_MEMBRANE - image)

    def _small_things(self, z, y, x):
        """Darkness of vesicles, dense cores and microtubules."""
        o = self._organelles
        dark = np.zeros((len(y), len(x)), np.float32)
        for balls, (_, widest), ring, core in (
            (o.vesicles, VESICLE_RADIUS, 0.3, 0.0),
            (o.cores, CORE_RADIUS, 0.3, 0.4),
            (o.microtubules, (0, MICROTUBULE_RADIUS), 0.24, 0.0),
        ):
            reach = int(np.ceil((widest + 8.0) / self._pitch))
            canvas = np.zeros(np.add(dark.shape, 4 * reach), np.float32)
            beyond = np.maximum(np.abs(balls[:, 0] - z) - 0.5 * self._thickness, 0)
            at = (balls[:, 1:3] - (y[0], x[0])) / self._pitch + 2 * reach  # in pixels of the canvas
            seen = (beyond < 0.8 * balls[:, 3]) & ((at > reach) & (at < np.array(canvas.shape) - reach - 1)).all(1)
            radius = np.sqrt(balls[seen, 3] ** 2 - beyond[seen] ** 2)[:, None, None]
            row, column = at[seen].T[..., None, None]
            span = np.arange(-reach, reach + 1)
            rows, columns = np.rint(row).astype(int) + span[:, None], np.rint(column).astype(int) + span
            away = self._pitch * np.hypot(rows - row, columns - column) - radius
            darkness = ring * _bell(away + 3.5, 4.2) + core * ndtr((-11.0 - away) / 3.0)
            np.maximum.at(canvas, (rows, columns), darkness.astype(np.float32))
            np.maximum(dark, canvas[2 * reach : -2 * reach, 2 * reach : -2 * reach], out=dark)
        return dark

    def _paint_synapses(self, image, z, y, x, depth) -> None:
        """Dense material on both sides of a contact, and a dense bar in the sending cell."""
        for place in self._organelles.synapses:
            away = place[0] - z
            part = tuple(
                slice(*np.searchsorted(at, (p - 220, p + 220))) for at, p in zip((y, x), place[1:3], strict=True)
            )
            dy, dx = y[part[0], None] - place[1], x[part[1]] - place[2]
            near = np.exp(-(((dy**2 + dx**2 + away**2) / 115.0**2) ** 2))
            bar = _bell(np.hypot(dy - 30.0 * place[4], dx - 30.0 * place[5]), 26.0) * _bell(away, 70.0)
            dense = 0.85 * near * _bell(depth[part] - 6.0, 13.0) + 0.6 * bar
            image[part] += np.minimum(dense, 0.9) * (SYNAPSE - image[part])


def _bell(away, width: float):
    return np.exp(-((away / width) ** 2))


def _layer(depth, middle: float, smear):
    """A membrane at ``depth`` = ``middle`` seen through a section in which its depth varies by +-``smear``."""
    variance = LAYER**2 + smear**2 / 3
    return np.exp(-((depth - middle) ** 2) / (2 * variance)) * (LAYER / np.sqrt(variance))
