"""What a network costs: its parameters, the multiply-accumulates of a run, and its memory."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from math import prod
from pathlib import Path
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


class PeakMemory:
    """What is taken at most, from here on, beyond what is in use here: of the GPU, or by this process.

    A process is told of its peak by Linux alone.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._start: int | None = None
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._start = torch.cuda.memory_allocated(device)
            return
        # what was freed but not given back to the system would hide what is taken anew
        getattr(ctypes.CDLL(None), "malloc_trim", bool)(0)
        try:
            Path("/proc/self/clear_refs").write_text("5")  # the peak is what is in use now
        except OSError:
            return
        self._start = _status("VmRSS")

    def taken(self) -> int | None:
        """Bytes; None where it cannot be known."""
        if self._start is None:
            return None
        peak = torch.cuda.max_memory_allocated(self._device) if self._device.type == "cuda" else _status("VmHWM")
        return max(0, peak - self._start)


def _status(key: str) -> int:
    """A size of this process in bytes, as Linux tells it."""
    found = re.search(rf"^{key}:\s*(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return 1024 * int(found[1])


def _formulas() -> dict[Any, Callable[..., int]]:
    """What PyTorch's counter takes for 0: one operation of a multiply-accumulate is its product, the other its sum."""
    aten = torch.ops.aten
    return {
        torch.ops.torchvision.deform_conv2d: _deform_conv_flop,
        aten._scaled_dot_product_flash_attention_for_cpu: _attention_flop,
        aten.addmm_: _product_flop,  # mmcv's deformable convolution
        aten.baddbmm_: _product_flop,
    }


def _deform_conv_flop(x, weight, *_, out_shape, **__) -> int:
    return 2 * prod(out_shape) * prod(weight[1:])


def _attention_flop(q, k, v, *_, **__) -> int:
    return sdpa_flop_count(q, k, v)


def _product_flop(_, a, b, **__) -> int:
    return 2 * prod(a) * b[-1]
