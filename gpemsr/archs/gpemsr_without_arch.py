"""GPEMSR without one of its parts, to find out what that part gives for what it costs."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn

from gpemsr.archs.gpemsr_arch import GPEMSR, SectionFeatures, enlarge
from gpemsr.archs.vqgan_arch import DOWNSAMPLING

PARTS = ("prior", "mask", "pod", "3da")
WITHOUT = inspect.Parameter("without", inspect.Parameter.KEYWORD_ONLY, annotation=str)


@ARCH_REGISTRY.register()
class GPEMSRWithout(GPEMSR):
    """GPEMSR without a part, which takes no time then and has nothing to learn; the frozen prior stays in checkpoints.

    Args:
        without: ``prior``: a section's features are those of its LR image, and the prior is not asked;
            ``mask``: the prior is trusted the same everywhere; ``pod``: neighbours are not aligned;
            ``3da``: a 1x1 convolution fuses the sections.
        **options: those of :class:`GPEMSR`.
    """

    __signature__ = inspect.Signature([*inspect.signature(GPEMSR, eval_str=True).parameters.values(), WITHOUT])

    def __init__(self, without: str, **options: Any) -> None:
        self.check_options(without=without, **options)
        super().__init__(**options)
        self.without = without
        if without == "prior":
            del self.mpf
        elif without == "mask":
            self.mpf.mask = EvenTrust()
        elif without == "pod":
            del self.align, self.flow, self.level2, self.level3
            self.flow_is_frozen = False
        else:
            self.fusion = PointwiseFusion(self.conv_first.out_channels, self.num_frame)

    @classmethod
    def _check(cls, options: SimpleNamespace) -> None:
        super()._check(options)
        if options.without not in PARTS:
            raise ValueError(f"without={options.without}: one of {', '.join(PARTS)}")

    def fuse_prior(self, lq: torch.Tensor, feat: torch.Tensor) -> dict[str, torch.Tensor]:
        """As GPEMSR's; without the prior, the reference is the bilinear image and nothing is trusted."""
        if self.without != "prior":
            return super().fuse_prior(lq, feat)
        image = enlarge(lq, self.scale)
        nothing = torch.zeros_like(image[..., ::DOWNSAMPLING, ::DOWNSAMPLING])
        codes = nothing[:, 0].long()
        unsure = {"confidence": nothing[:, 0], "entropy": nothing[:, 0]}
        parts = {"codes": codes, **unsure, "similarity": nothing, "mask": nothing}
        return {"fused": feat, "reference": image, **parts}

    def coarser(self, fused: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As GPEMSR's; without POD, which alone looks at them, stand-ins."""
        return (fused, fused) if self.without == "pod" else super().coarser(fused)

    def align_window(self, window: SectionFeatures) -> torch.Tensor:
        """As GPEMSR's; without POD, the features as they are."""
        return window.fused if self.without == "pod" else super().align_window(window)


class EvenTrust(nn.Module):
    """A mask of one half, about as the learned one starts; with ones, training stays at the bilinear image."""

    def forward(self, similarity: torch.Tensor) -> torch.Tensor:
        """(n, 1, h', w') -> one half in that size."""
        return torch.full_like(similarity, 0.5)


class PointwiseFusion(nn.Module):
    """The aligned sections side by side, through a 1x1 convolution: EDVR's fusion without TSA."""

    def __init__(self, num_feat: int, num_frame: int) -> None:
        super().__init__()
        self.fuse = nn.Conv2d(num_frame * num_feat, num_feat, 1)
        nn.init.kaiming_normal_(self.fuse.weight)

    def forward(self, aligned: torch.Tensor) -> torch.Tensor:
        """(b, t, c, h, w) -> (b, c, h, w)."""
        return self.fuse(aligned.flatten(1, 2))
