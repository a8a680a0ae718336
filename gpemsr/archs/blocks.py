"""Building blocks shared by the VQGAN and the latent indexer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

ATTENTION_PLACES = 2**24  # weights that attention in blocks holds at a time


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

    In bf16 on a CPU, block by block of queries: PyTorch's own is as slow there as in fp32.
    """
    if q.dtype != torch.bfloat16 or not q.is_cpu or torch.is_grad_enabled():
        return F.scaled_dot_product_attention(q, k, v)
    rows = max(1, ATTENTION_PLACES // k.shape[-2])
    keys = k.transpose(-2, -1).contiguous()  # once, not for every block
    blocks = [((part * q.shape[-1] ** -0.5) @ keys).softmax(-1) @ v for part in q.split(rows, dim=-2)]
    return torch.cat(blocks, dim=-2)
