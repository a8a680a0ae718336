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
    return torch.cat([_of_one(*image, weight, bias) for image in images])


def _of_one(
    x: torch.Tensor, offset: torch.Tensor, mask: torch.Tensor | None, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    _, channels, h, w = x.shape
    k = weight.shape[-1]
    offset = offset.reshape(-1, k * k, 2, h, w)
    groups = len(offset)
    taps = torch.arange(k, device=x.device, dtype=x.dtype) - k // 2
    tap_y, tap_x = (tap.reshape(-1, 1, 1) for tap in torch.meshgrid(taps, taps, indexing="ij"))
    y = offset[:, :, 0] + tap_y + torch.arange(h, device=x.device, dtype=x.dtype).view(-1, 1)
    x_ = offset[:, :, 1] + tap_x + torch.arange(w, device=x.device, dtype=x.dtype)
    grid = torch.stack([(2 * x_ + 1) / w - 1, (2 * y + 1) / h - 1], dim=-1).flatten(1, 2)
    taken = F.grid_sample(x.reshape(groups, -1, h, w), grid, align_corners=False)
    columns = taken.unflatten(2, (k * k, h))
    if mask is not None:
        columns = columns * mask.reshape(groups, 1, k * k, h, w)
    result = (weight.flatten(1) @ columns.reshape(1, channels * k * k, h * w)).view(1, -1, h, w)
    return result if bias is None else result + bias.view(-1, 1, 1)
