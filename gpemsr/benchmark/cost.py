"""What a network costs: its parameters, the multiply-accumulates of a run, and its memory."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from math import prod
from typing import Any

import torch
import torchvision  # noqa: F401 - it registers the operator deform_conv2d
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count


def count_parameters(module: nn.Module, learned_only: bool = False) -> int:
    """Number of parameters; frozen ones too unless ``learned_only``."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not learned_only)


def count_macs(function: Callable, *args: Any) -> int:
    """Multiply-accumulates of ``function(*args)``: those of convolutions, matrix products and attention.

    The function is run once, without gradients. What goes element by element is not counted: activations, norms,
    interpolation, also that of the places which a deformable convolution samples.
    """
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=_formulas()) as counter:
        function(*args)
    return counter.get_total_flops() // 2


def peak_memory(device: torch.device) -> int:
    """Peak memory in bytes: of this process since its start, libraries included, or of torch on the GPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak  # macOS counts bytes, Linux kilobytes


def _formulas() -> dict[Any, Callable[..., int]]:
    """Operators that PyTorch's counter counts as 0; a multiply-accumulate is two operations."""
    aten = torch.ops.aten
    onednn = getattr(torch.ops.mkldnn, "_linear_pointwise", None)  # some builds have none
    return {
        torch.ops.torchvision.deform_conv2d: _deform_conv_flop,
        aten._scaled_dot_product_flash_attention_for_cpu: _attention_flop,
        aten.addmm_: _product_flop,  # mmcv's deformable convolution
        aten.baddbmm_: _product_flop,
    } | ({onednn: _linear_flop} if onednn else {})


def _deform_conv_flop(x, weight, *_, out_shape, **__) -> int:
    return 2 * prod(out_shape) * prod(weight[1:])


def _attention_flop(q, k, v, *_, **__) -> int:
    return sdpa_flop_count(q, k, v)


def _linear_flop(x, weight, *_, **__) -> int:
    return 2 * prod(x) * weight[0]


def _product_flop(_, a, b, **__) -> int:
    return 2 * prod(a) * b[-1]
