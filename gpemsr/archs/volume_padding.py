"""Padding of volumes to sizes that a U-Net's pooling divides."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F


def pad_to_multiple(volume: torch.Tensor, multiple: Sequence[int]) -> torch.Tensor:
    """(b, c, z, y, x) with the last voxels repeated, so that z, y, x are multiples of ``multiple``; crop to undo."""
    pads = [-size % step for size, step in zip(volume.shape[-3:], multiple, strict=True)]
    return F.pad(volume, (0, pads[2], 0, pads[1], 0, pads[0]), mode="replicate") if any(pads) else volume
