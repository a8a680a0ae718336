"""Building blocks shared by the VQGAN and the latent indexer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

ATTENTION_PLACES = 2**24  # weights that attention in blocks holds at a time
HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
CPU_PIXELS = 2**20  # that CPUs work on at a time: 256 MB in 64 channels of fp32


def conv3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """3x3 convolution with padding 1; ``stride=2`` halves the size ("down")."""
    return nn.Conv2d(in_channels, out_channels, 3, stride, 1)


def up(in_channels: int, out_channels: int) -> nn.ConvTranspose2d:
    """3x3 transposed convolution that doubles the size."""
    return nn.ConvTranspose2d(in_channels, out_channels, 3, 2, 1, output_padding=1)


def pad_to_multiple(x: torch.Tensor, multiple: int, least: int = 1) -> torch.Tensor:
    """Repeat the last row and column of ``x`` (..., h, w) until h and w are ``least`` or more, and multiples."""
    h, w = x.shape[-2:]
    bottom, right = (max(n + -n % multiple, least) - n for n in (h, w))
    if not (bottom or right):
        return x
    flat = x.reshape(-1, 1, h, w)
    flat = F.pad(flat, (0, right, 0, bottom), mode="replicate")
    return flat.reshape(*x.shape[:-2], h + bottom, w + right)


def lay_out(net: nn.Module) -> nn.Module:
    """``net`` with its weights laid out as convolutions read them fastest."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.to(memory_format=torch.channels_last)
        elif isinstance(module, nn.Conv3d) and max(module.kernel_size) > 1:
            module.to(memory_format=torch.channels_last_3d)
    return net


def is_traced() -> bool:
    """Whether the network is being traced, for export or to be compiled: loops would be unrolled."""
    return torch.jit.is_tracing() or torch.compiler.is_compiling()


def recomputed(function: Callable, x: torch.Tensor, *others: Any) -> Any:
    """``function(x, *others)``; on a CPU, the gradient keeps only its inputs and computes the rest once more."""
    if x.is_cpu and torch.is_grad_enabled() and not is_traced():
        return checkpoint(function, x, *others, use_reentrant=False, preserve_rng_state=False)
    return function(x, *others)


def in_bands(function: Callable, *maps: torch.Tensor, halo: int, scale: int = 1) -> torch.Tensor:
    """``function(*maps)``, maps (n, ., h, w); on a CPU without gradients, large ones band by band of rows.

    The result is the same: a band comes with the rows around it that the function's kernels reach. Memory is less, and
    what one band took serves the next.

    Args:
        function: convolutions and what else looks no further than ``halo`` rows; it keeps or scales the size.
        halo: rows on each side of a band; bands are multiples of it, but for the last.
        scale: size of the largest map within ``function`` over that of ``maps``.
    """
    h, w = maps[0].shape[2:]
    if not is_large(maps[0], scale):
        return function(*maps)
    rows = max(8, CPU_PIXELS // (len(maps[0]) * scale**2 * w) // halo - 2) * halo
    parts = []
    for top in range(0, h, rows):
        first, last, end = max(0, top - halo), min(h, top + rows), min(h, top + rows + halo)
        part = function(*(x[:, :, first:end] for x in maps))
        size = part.shape[2]
        parts.append(part[:, :, size * (top - first) // (end - first) : size * (last - first) // (end - first)])
    return torch.cat(parts, dim=2)


def image_by_image(function: Callable, *maps: torch.Tensor, scale: int = 1) -> torch.Tensor:
    """``function(*maps)``, maps (n, ., ., .); large ones, see :func:`in_bands`, one after the other."""
    if not is_large(maps[0], scale):
        return function(*maps)
    return torch.cat([function(*image) for image in zip(*(x.split(1) for x in maps), strict=True)])


def is_large(x: torch.Tensor, scale: int) -> bool:
    """Whether ``x`` (n, c, h, w), made larger by ``scale``, is better worked on in parts."""
    if is_traced() or torch.is_grad_enabled() or not x.is_cpu:
        return False
    return len(x) * x.shape[2] * x.shape[3] * scale**2 > CPU_PIXELS


class ResBlock(nn.Module):
    """(conv3, GroupNorm, ReLU) twice, plus the input (through a 1x1 convolution if the width changes).

    Args:
        in_channels: width of the input.
        out_channels: width of the output, a multiple of ``norm_groups``.
        norm_groups: groups of the GroupNorm layers.
    """

    def __init__(self, in_channels: int, out_channels: int, norm_groups: int = 32) -> None:
        super().__init__()
        self.block = nn.Sequential(
            conv3(in_channels, out_channels),
            nn.GroupNorm(norm_groups, out_channels, eps=1e-6),
            nn.ReLU(inplace=True),
            conv3(out_channels, out_channels),
            nn.GroupNorm(norm_groups, out_channels, eps=1e-6),
            nn.ReLU(inplace=True),
        )
        self.shortcut = nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, in_channels, h, w) -> (b, out_channels, h, w)."""
        return self.shortcut(x) + self.block(x)


class NonLocal(nn.Module):
    """Single-head self-attention over all positions of a feature map, with a residual connection."""

    def __init__(self, channels: int, norm_groups: int = 32) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(norm_groups, channels, eps=1e-6)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, c, h, w) -> (b, c, h, w)."""
        y = self.norm(x)
        q, k, v = (conv(y).flatten(2).transpose(1, 2).unsqueeze(1) for conv in (self.q, self.k, self.v))
        y = attend(q, k, v)  # (b, 1, h*w, c)
        y = y.squeeze(1).transpose(1, 2).reshape(x.shape)
        return x + self.proj(y)


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Softmax attention of queries, keys and values (b, heads, n, c).

    On a CPU, block by block of queries: PyTorch's own takes twice as long in fp32, and in bf16 as long as in fp32.
    """
    if not q.is_cpu or torch.is_grad_enabled() or (is_traced() and q.dtype != torch.bfloat16):
        return F.scaled_dot_product_attention(q, k, v)
    images = zip(*(x.flatten(0, 1) for x in (q * q.shape[-1] ** -0.5, k, v)), strict=True)
    return torch.stack([attend_in_blocks(*image) for image in images]).view_as(q)


def attend_in_blocks(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Attention of one head of one image, (n, c), that adds queries and keys up as they are."""
    keys, values = k.contiguous(), v.T.contiguous()
    blocks = q.contiguous().split(max(1, ATTENTION_PLACES // len(k)))
    return torch.cat([product(product(block, keys).softmax(-1), values) for block in blocks])


def product(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """``x @ y.T`` of contiguous (n, c) and (m, c) on a CPU; in fp32 by oneDNN: MKL takes twice as long on AMD's."""
    if y.dtype == torch.float32 and HAS_ONEDNN:
        return torch.ops.mkldnn._linear_pointwise(x, y, None, "none", [], "")
    return F.linear(x, y)
