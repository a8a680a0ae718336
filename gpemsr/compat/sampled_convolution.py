"""Deformable convolution that is fast on CPUs, for our networks and for those of MMagic."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def sampled_deform_conv2d(
    x: torch.Tensor,
    offset: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """``deform_conv2d`` with stride 1 and same padding, computed with ``grid_sample``, image by image.

    torchvision's CPU operator is several times slower, its backward pass too.

    Args:
        x: (b, in, h, w).
        offset: (b, groups * 2 * k * k, h, w), y before x, in pixels.
        weight: (out, in, k, k), k odd.
        bias: (out,), or None.
        mask: (b, groups * k * k, h, w), or None for ones.
    """
    masks = [None] * len(x) if mask is None else mask.split(1)
    images = zip(x.split(1), offset.split(1), masks, strict=True)
    return torch.cat([sampled_at_once(image, shift, weight, bias, seen) for image, shift, seen in images])


def sampled_at_once(
    x: torch.Tensor,
    offset: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """As :func:`sampled_deform_conv2d`, of all images together, and in operators that exported networks may have."""
    b, channels, h, w = x.shape
    k = weight.shape[-1]
    offset = offset.reshape(b, -1, k * k, 2, h, w)
    groups = offset.shape[1]
    offset = offset.flatten(0, 1)
    taps = counted(weight[0, 0, 0]) - k // 2
    tap_y, tap_x = (tap.reshape(-1, 1, 1) for tap in torch.meshgrid(taps, taps, indexing="ij"))
    y = offset[:, :, 0] + tap_y + counted(x[0, 0, :, 0]).view(-1, 1)
    x_ = offset[:, :, 1] + tap_x + counted(x[0, 0, 0])
    grid = torch.stack([(2 * x_ + 1) / w - 1, (2 * y + 1) / h - 1], dim=-1).reshape(b * groups, k * k * h, w, 2)
    taken = F.grid_sample(x.reshape(b * groups, -1, h, w), grid, align_corners=False)
    columns = taken.reshape(b * groups, -1, k * k, h, w)
    if mask is not None:
        columns = columns * mask.reshape(b * groups, 1, k * k, h, w)
    result = (weight.flatten(1) @ columns.reshape(b, channels * k * k, h * w)).view(b, -1, h, w)
    return result if bias is None else result + bias.view(-1, 1, 1)


def counted(x: torch.Tensor) -> torch.Tensor:
    """0, 1, 2, ... for each element of ``x`` (n,): unlike ``arange``, on any device when an exported network runs."""
    return torch.ones_like(x).cumsum(0) - 1
