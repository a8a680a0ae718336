"""A synthetic serial-section EM stack of neural tissue, for the demo and the tests.

The tissue (:mod:`gpemsr.phantom.tissue`, :mod:`gpemsr.phantom.organelles`) is laid out once in nm; each
section is then drawn as a projection through its thickness, so that membranes cut obliquely are broad and faint, as
they are in sections for transmission EM, and imaged with jitter, contrast drift, shot noise and blur.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from gpemsr.errors import InputError
from gpemsr.phantom.organelles import Organelles
from gpemsr.phantom.painter import Painter
from gpemsr.phantom.tissue import MARGIN, Tissue


class Phantom(NamedTuple):
    """Sections (z, y, x) uint8, and the cell of each voxel, uint32 (0: membrane or between cells)."""

    raw: np.ndarray
    ids: np.ndarray


def make_phantom(
    shape: tuple[int, int, int] = (24, 512, 512),
    voxel_size: tuple[float, float, float] = (40.0, 4.0, 4.0),
    seed: int = 0,
    **amounts: float,
) -> Phantom:
    """Make a synthetic EM stack: the sections of :func:`phantom_sections`, with its arguments, together."""
    return Phantom(*map(np.stack, zip(*phantom_sections(shape, voxel_size, seed, **amounts), strict=True)))


def phantom_sections(
    shape, voxel_size, seed=0, *, jitter=3.0, drift=1.0, blur=2.2, dose=36.0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Make the sections of a synthetic EM stack one by one. The same arguments give the same bytes on one machine.

    Args:
        shape: z, y, x in voxels; y and x at least 16.
        voxel_size: z, y, x in nm; y equals x, from 1 to 64; z from 1 to 200 is the sections' thickness too.
        seed: of everything random, not negative.
        jitter: nm, deviation of the shift of each section (some sections shift three times as far).
        drift: contrast drift from section to section, 1 = as usual, 0 = none.
        blur: nm, deviation of the beam.
        dose: electrons per pixel of full brightness; more means less noise, 0 means none.

    Yields:
        raw (y, x) uint8 and ids (y, x) uint32 of each section.

    Raises:
        InputError: an argument out of its range.
    """
    check_phantom(shape, voxel_size, seed, jitter=jitter, drift=drift, blur=blur, dose=dose)
    tissue = Tissue(seed, tuple(shape), tuple(voxel_size))
    painter = Painter(seed, tissue, Organelles(seed, tissue), shape, voxel_size)
    rng = np.random.default_rng([seed, 7])
    far = np.where(rng.random((shape[0], 1)) < 0.08, 3.0, 1.0)
    shifts = np.clip(jitter * far * rng.standard_normal((shape[0], 2)), -0.4 * MARGIN, 0.4 * MARGIN)
    contrasts = np.random.default_rng([seed, 10]).standard_normal((shape[0], 2))
    for k in range(1, len(contrasts)):  # each section resembles the one before
        contrasts[k] = 0.6 * contrasts[k - 1] + 0.8 * contrasts[k]
    for k, (shift, (gain, offset)) in enumerate(zip(shifts, drift * contrasts, strict=True)):
        image, ids = painter.section(k, shift)
        image = ndimage.gaussian_filter(image, blur / voxel_size[1])
        image = np.clip(0.52 + (1 + 0.05 * gain) * 1.08 * (image - 0.54) + 0.03 * offset, 0.02, 1)
        if dose:
            noisy = np.random.default_rng([seed, 12, k]).poisson(image * dose) / dose
            image = ndimage.gaussian_filter(noisy, 0.6)  # the blur of resampling
        yield np.clip(np.rint(image * 255), 0, 255).astype(np.uint8), ids


def check_phantom(shape, voxel_size, seed=0, **amounts) -> None:
    """Refuse, with :class:`InputError`, what :func:`make_phantom` cannot do."""
    whole = all(int(number) == number for number in (*shape, seed))
    checks = {
        f"shape {tuple(shape)}; z must be 1 or more, y and x 16 or more": shape[0] >= 1 and min(shape[1:]) >= 16,
        f"shape {tuple(shape)}, seed {seed}; expected whole numbers, the seed 0 or more": whole and seed >= 0,
        f"voxel size {tuple(voxel_size)} nm; y and x must be equal, from 1 to 64 nm": (
            voxel_size[1] == voxel_size[2] and 1 <= voxel_size[1] <= 64
        ),
        f"voxel size {tuple(voxel_size)} nm; z must be from 1 to 200 nm": 1 <= voxel_size[0] <= 200,
        **{f"{name} {amount}; it must be 0 or more": 0 <= amount < np.inf for name, amount in amounts.items()},
    }
    for message, is_met in checks.items():
        if not is_met:
            raise InputError(f"phantom: {message}")
