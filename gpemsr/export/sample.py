"""LR sections that a package is tested with, and its cover picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from gpemsr.data.degradations import degrade
from gpemsr.data.grey_values import choose_range, eight_bits
from gpemsr.data.volumes.reader import open_volume
from gpemsr.errors import InputError
from gpemsr.phantom.stack import phantom_sections
from gpemsr.volume.stack import sample

VOXEL_SIZE = (40.0, 10.0, 10.0)  # nm, of the phantom


def phantom_sample(sections: int, side: int, scale: int) -> np.ndarray:
    """LR sections (t, side, side) uint8 of the synthetic stack, made from HR by bicubic degradation."""
    found = phantom_sections(
        (sections, scale * side, scale * side), VOXEL_SIZE, blur=6, dose=250, jitter=0.5, drift=0.3
    )
    return np.stack([eight_bits(degrade(raw / np.float32(255), scale, "bicubic")) for raw, _ in found])


def stack_sample(source: str, sections: int, side: int) -> np.ndarray:
    """The middle (t, side, side) of an LR stack, uint8. Raises InputError if it cannot be read, or is smaller."""
    with open_volume(source) as volume:
        shape, wanted = volume.shape, (sections, side, side)
        if any(has < needs for has, needs in zip(shape, wanted, strict=True)):
            raise InputError(f"{source}: {shape} voxels; expected at least {wanted}")
        z, y, x = ((has - needs) // 2 for has, needs in zip(shape, wanted, strict=True))
        found = [volume.region(z + k, slice(y, y + side), slice(x, x + side)) for k in range(sections)]
        ends = float(min(part.min() for part in found)), float(max(part.max() for part in found))
        grey_range = choose_range(None, volume.dtype, ends, lambda: sample(volume), source)
    return eight_bits(grey_range.to_unit(np.stack(found)))


def write_cover(path: Path, lr: np.ndarray, sr: np.ndarray) -> None:
    """The LR section (h, w), its pixels enlarged, next to the super-resolved one (r*h, r*w); both uint8."""
    scale = len(sr) // len(lr)
    Image.fromarray(np.hstack([lr.repeat(scale, 0).repeat(scale, 1), sr])).save(path)
