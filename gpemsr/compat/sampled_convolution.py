"""Deformable convolution that is fast on CPUs, for our networks and for those of MMagic."""

from __future__ import annotations

import torch
from torch.nn import functional as F

PIXELS = 2**12  # sampled at a time, so that what is sampled stays in the cache


def sampled_deform_conv2d(
    x: torch.Tensor,
    offset: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """``deform_conv2d`` with stride 1 and same padding, computed with ``grid_sample``, by bands of each image.

    torchvision's CPU operator is several times slower, its backward pass too.

    Args:
        x: (b, in, h, w).
        offset: (b, groups * 2 * k * k, h, w), y before x, in pixels.
        weight: (out, in, k, k), k odd.
        bias: (out,), or None.
        mask: (b, groups * k * k, h, w), or None for ones.
    """
    if mask is None:
        mask = x.new_ones(()).expand(len(x), offset.shape[1] // 2, *x.shape[2:])
    rows = max(1, PIXELS // x.shape[3])
    images = []
    for image, *maps in zip(x.split(1), offset.split(1), mask.split(1), strict=True):
        bands = enumerate(zip(*(m.split(rows, dim=2) for m in maps), strict=True))
        parts = [sampled_at_once(image, shift, weight, bias, seen, i * rows) for i, (shift, seen) in bands]
        images.append(torch.cat(parts, dim=2))
    return torch.cat(images)


def sampled_at_once(
    x: torch.Tensor,
    offset: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    mask: torch.Tensor | None = None,
    start: int = 0,
) -> torch.Tensor:
    """As :func:`sampled_deform_conv2d`, of all images together, and in operators that exported networks may have.

    ``offset`` and ``mask`` may be those of a band of rows from ``start`` on, which is computed then.
    """
    b, channels, height, width = x.shape
    h, w = offset.shape[2:]
    k = weight.shape[-1]
    offset = offset.reshape(b, -1, k * k, 2, h, w)
    groups = offset.shape[1]
    offset = offset.flatten(0, 1)
    taps = counted(weight[0, 0, 0]) - k // 2
    tap_y, tap_x = (tap.reshape(-1, 1, 1) for tap in torch.meshgrid(taps, taps, indexing="ij"))
    y = offset[:, :, 0] + tap_y + (start + counted(offset[0, 0, 0, :, 0])).view(-1, 1)
    x_ = offset[:, :, 1] + tap_x + counted(x[0, 0, 0])
    grid = torch.stack([(2 * x_ + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1).reshape(
        b * groups, k * k * h, w, 2
    )
    taken = F.grid_sample(x.reshape(b * groups, -1, height, width), grid, align_corners=False)
    columns = taken.reshape(b * groups, -1, k * k, h, w)
    if mask is not None:
        columns = columns * mask.reshape(b * groups, 1, k * k, h, w)
    result = (weight.flatten(1) @ columns.reshape(b, channels * k * k, h * w)).view(b, -1, h, w)
    return result if bias is None else result + bias.view(-1, 1, 1)


def counted(x: torch.Tensor) -> torch.Tensor:
    """0, 1, 2, ... for each element of ``x`` (n,): unlike ``arange``, on any device when an exported network runs."""
    return torch.ones_like(x).cumsum(0) - 1
