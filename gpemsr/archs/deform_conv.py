"""Modulated deformable convolution (DCNv2) with one state-dict layout and two engines."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

import torch
from basicsr.archs.arch_util import DCNv2Pack
from torchvision.ops import deform_conv2d

from gpemsr.archs.blocks import is_traced, recomputed
from gpemsr.archs.precision import full_precision
from gpemsr.compat.sampled_convolution import sampled_at_once, sampled_deform_conv2d

ENGINES = ("mmcv", "torchvision")


def mmcv_has_ops() -> bool:
    """Whether mmcv is installed with its compiled operators."""
    try:
        return find_spec("mmcv._ext") is not None
    except ModuleNotFoundError:
        return False


def choose_engine() -> str:
    """``GPEMSR_DCN`` if set, else mmcv where its compiled operators are there, else torchvision.

    Raises:
        ValueError: ``GPEMSR_DCN`` names no engine, or mmcv is asked for without compiled operators.
    """
    wanted = os.environ.get("GPEMSR_DCN", "")
    if wanted and wanted not in ENGINES:
        raise ValueError(f"GPEMSR_DCN={wanted}: one of {', '.join(ENGINES)}")
    if wanted == "mmcv" and not mmcv_has_ops():
        raise ValueError("GPEMSR_DCN=mmcv: mmcv has no compiled operators (mmcv._ext) here; use torchvision")
    return wanted or ("mmcv" if mmcv_has_ops() else "torchvision")


class DeformConv(DCNv2Pack):
    """3x3 deformable convolution whose offsets and masks come from a second feature map.

    State dict as BasicSR's ``DCNv2Pack``: ``weight``, ``bias``, ``conv_offset.*``.
    The engine is chosen when the module is made, see :func:`choose_engine`; unless ``GPEMSR_DCN`` forces it, CPUs use
    :func:`~gpemsr.compat.sampled_convolution.sampled_deform_conv2d` instead of torchvision's, as exported networks do.
    """

    def __init__(self, in_channels: int, out_channels: int, deformable_groups: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1, deformable_groups=deformable_groups)
        self.engine = choose_engine()
        self.may_sample = not os.environ.get("GPEMSR_DCN")

    def forward(self, x: torch.Tensor, offset_feat: torch.Tensor) -> torch.Tensor:
        """``x`` (b, in, h, w) sampled where ``offset_feat`` (b, in, h, w) says -> (b, out, h, w).

        In autocast too, sampling is done in fp32: the engines know no other format on CPUs.
        """
        offset_y, offset_x, mask = self.conv_offset(offset_feat).float().chunk(3, dim=1)
        with full_precision(x.device):
            return self.sample(x.float(), torch.cat((offset_y, offset_x), dim=1), mask.sigmoid())

    def sample(self, x: torch.Tensor, offset: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The convolution of ``x`` (b, in, h, w) at offsets (b, 18 * groups, h, w); mask (b, 9 * groups, h, w)."""
        if x.is_cpu:  # where torch reads memory at an offset of NaN; the mask is NaN there, too
            offset = offset.nan_to_num(0.0, torch.inf, -torch.inf)
            if is_traced():
                return sampled_at_once(x, offset, self.weight, self.bias, mask)
        if self.engine == "torchvision":
            if self.may_sample and x.is_cpu:
                return recomputed(sampled_deform_conv2d, x, offset, self.weight, self.bias, mask)
            return deform_conv2d(x, offset, self.weight, self.bias, self.stride, self.padding, self.dilation, mask)
        mmcv_conv: Callable = import_module("mmcv.ops").modulated_deform_conv2d
        return mmcv_conv(
            x.contiguous(),  # mmcv reads raw memory, whatever the layout (channels-last too)
            offset.contiguous(),
            mask.contiguous(),
            self.weight.contiguous(),
            self.bias,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            self.deformable_groups,
        )
