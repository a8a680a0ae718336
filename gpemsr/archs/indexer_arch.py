"""Stage II: the latent indexer, which predicts codebook entries from a low-resolution section (paper, 3.3)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from types import SimpleNamespace

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn

from gpemsr.archs.blocks import NonLocal, ResBlock, conv3, pad_to_multiple
from gpemsr.archs.vqgan_arch import CHANNELS, DOWNSAMPLING, VQGAN
from gpemsr.options.networks import OptionChecked, check_nested, check_positive, check_widths


@dataclass
class PriorOutput:
    """What the frozen prior says of LR sections.

    Attributes:
        image: reference image, (b, 1, r*h, r*w).
        features: multi-scale generative features, coarse (HR/16) to fine (HR/2).
        codes: codebook indices, (b, r*h/16, r*w/16).
        confidence: probability of the chosen code, same shape as ``codes``.
        entropy: of the probabilities of all codes, in bits, same shape as ``codes``.
    """

    image: torch.Tensor
    features: list[torch.Tensor]
    codes: torch.Tensor
    confidence: torch.Tensor
    entropy: torch.Tensor


@ARCH_REGISTRY.register()
class LatentIndexer(OptionChecked, nn.Module):
    """LR section -> logits over the codes, with the frozen stage I network that gives the codes their meaning.

    Args:
        scale: 8 or 16, HR size over LR size.
        channels: widths of the indexer, input to output.
        num_res_blocks: residual blocks per step (the last of which changes the width).
        norm_groups: groups of every GroupNorm.
        vqgan: options of :class:`VQGAN`; it is frozen.
    """

    def __init__(
        self,
        scale: int = 8,
        channels: list[int] = CHANNELS,
        num_res_blocks: int = 2,
        norm_groups: int = 32,
        vqgan: dict | None = None,
    ) -> None:
        super().__init__()
        self.check_options(
            scale=scale, channels=channels, num_res_blocks=num_res_blocks, norm_groups=norm_groups, vqgan=vqgan
        )
        self.scale = scale
        self.stem = nn.Sequential(conv3(1, channels[0]), nn.ReLU(inplace=True))
        steps: list[nn.Module] = []
        pairs = list(pairwise(channels))
        for i, (c_in, c_out) in enumerate(pairs):
            steps += [ResBlock(c_in, c_in, norm_groups) for _ in range(num_res_blocks - 1)]
            last = i == len(pairs) - 1
            steps.append(conv3(c_in, c_out, 2) if last and scale == 8 else ResBlock(c_in, c_out, norm_groups))
        self.steps = nn.Sequential(*steps)
        self.vqgan = VQGAN(**(vqgan or {})).requires_grad_(False)
        num_codes, code_dim = self.vqgan.codebook.embedding.weight.shape
        width = channels[-1]
        self.attention = NonLocal(width, norm_groups)
        self.head = nn.Sequential(
            *(ResBlock(width, width, norm_groups) for _ in range(3)), nn.Conv2d(width, code_dim, 1)
        )
        self.classifier = nn.Linear(code_dim, num_codes)

    @classmethod
    def _check(cls, options: SimpleNamespace) -> None:
        if options.scale not in (8, 16):
            raise ValueError(f"scale={options.scale}: 8 or 16")
        check_positive(options, "num_res_blocks", "norm_groups")
        check_widths(options.channels, options.norm_groups, "channels", length=5)
        check_nested(VQGAN, options.vqgan, "vqgan")

    def train(self, mode: bool = True) -> LatentIndexer:
        """Set training mode for all but the frozen VQGAN."""
        super().train(mode)
        self.vqgan.eval()
        return self

    def forward(self, lq: torch.Tensor) -> torch.Tensor:
        """(b, 1, h, w) in [0, 1] -> logits (b, num_codes, r*h/16, r*w/16); odd sizes are padded for x8."""
        lq = pad_to_multiple(lq, DOWNSAMPLING // self.scale)
        x = self.head(self.attention(self.steps(self.stem(lq))))
        return self.classifier(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).float()

    @torch.no_grad()
    def targets(self, gt: torch.Tensor) -> torch.Tensor:
        """The codes (b, H/16, W/16) that stage I gives the HR image (b, 1, H, W)."""
        return self.vqgan.encode(gt)

    @torch.no_grad()
    def prior(self, lq: torch.Tensor) -> PriorOutput:
        """Most probable codes of ``lq`` (b, 1, h, w), decoded; without gradients."""
        logits = self(lq)
        codes = logits.argmax(1)
        logs = logits.log_softmax(1)
        entropy = -(logs.exp() * logs).sum(1) / math.log(2)
        image, features = self.vqgan.decode(codes)
        return PriorOutput(image, features, codes, logs.amax(1).exp(), entropy)
