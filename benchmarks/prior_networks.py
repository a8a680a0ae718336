"""GPEMSR with other priors, and with memory along z: networks that ``prior_steps.py`` compares."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from codebooks import Indexer, StageOne, chosen, expected
from oracle_codes import FRAMES, SCALE
from torch import nn
from torch.nn import functional as F

from gpemsr.archs.blocks import conv3
from gpemsr.archs.gpemsr_arch import GPEMSR, SectionFeatures, enlarge
from gpemsr.archs.gpemsr_without_arch import GPEMSRWithout
from gpemsr.archs.indexer_arch import PriorOutput
from gpemsr.archs.mpf import MultiScalePriorFusion
from gpemsr.archs.perceptual import EncoderFeatures
from gpemsr.data.section_sampling import window_indices

BEST, EXPECTED, TRUE = "best", "expected", "true"


class Prior(nn.Module):
    """Stands in for :class:`LatentIndexer`, with a codebook and an indexer of ``codebooks.py``.

    Args:
        stage, indexer: trained, frozen from here on.
        latents: which latent vectors are decoded: ``best``, of the most probable codes; ``expected``, the mean of all
            codes with their probabilities; ``true``, of the codes of the HR sections in ``hr`` (n, 1, H, W).
    """

    def __init__(self, stage: StageOne, indexer: Indexer, latents: str) -> None:
        super().__init__()
        self.vqgan, self.indexer, self.latents = stage, indexer, latents
        self.hr: torch.Tensor | None = None
        self.requires_grad_(False)

    @torch.no_grad()
    def prior(self, lq: torch.Tensor) -> PriorOutput:
        """As :meth:`LatentIndexer.prior`."""
        logits = self.indexer(lq)
        logs = logits.log_softmax(2)
        codes = logits.argmax(2)
        if self.latents == TRUE:
            assert self.hr is not None
            rest = [SCALE * small - large for small, large in zip(lq.shape[-2:], self.hr.shape[-2:], strict=True)]
            codes = self.vqgan(F.pad(self.hr, (0, rest[1], 0, rest[0]), "replicate"), lq)[2]
        latent = expected(self.vqgan, logits) if self.latents == EXPECTED else chosen(self.vqgan, codes)
        image, features = self.vqgan.decoder(latent)
        entropy = -(logs.exp() * logs).sum((1, 2)) / math.log(2)
        return PriorOutput(image + self.vqgan.base(lq), features, codes[:, 0], logs.amax(2).exp()[:, 0], entropy)


class GPEMSRWithPrior(GPEMSR):
    """GPEMSR with another prior, whose latent vectors may lie at HR/8 too."""

    def __init__(self, replacement: Prior, **options: Any) -> None:
        super().__init__(**options)
        self.prior = replacement
        self.perceptual = EncoderFeatures(replacement.vqgan)
        widths = replacement.vqgan.widths
        width, hr_width = self.conv_first.out_channels, self.conv_hr.out_channels
        self.mpf = MultiScalePriorFusion(self.scale, width, widths[1:], options["num_fusion_block"], hr_width)
        self.mpf.start_quiet()


class GPEMSRWithMemory(GPEMSRWithout):
    """GPEMSR without prior whose reconstruction of a section sees what it made of the section before.

    The features before the upsampling are handed on along z, through a convolution that is 0 at first; they are not
    aligned, since neighbouring sections differ by less than an LR pixel.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(without="prior", **options)
        width = self.conv_first.out_channels
        self.memory = conv3(width, width)
        nn.init.zeros_(self.memory.weight)
        nn.init.zeros_(self.memory.bias)

    def along(self, sections: SectionFeatures, windows: list[list[int]]) -> Iterator[torch.Tensor]:
        """The centre section (b, 1, H, W) of each window, in the order of z."""
        memory = None
        for indices in windows:
            window = sections.window(indices)
            x = self.fusion(self.align_window(window))
            memory = self.reconstruction(x if memory is None else x + self.memory(memory))
            h, w = window.size
            sr = self.to_hr(memory) + enlarge(window.lq[:, self.centre], self.scale)
            yield sr[..., : h * self.scale, : w * self.scale]

    def forward(self, lq: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """A clip (b, t, 1, h, w) -> its sections but ``centre`` at each end, (b, t - 4, 1, H, W)."""
        count = lq.shape[1]
        windows = [list(range(z - self.centre, z + self.centre + 1)) for z in range(self.centre, count - self.centre)]
        return torch.stack(list(self.along(self.encode_sections(lq), windows)), 1)


class Truth(nn.Module):
    """Stands in for a network: what it "makes" are the HR sections."""


@torch.no_grad()
def super_resolve(net: nn.Module, lq: torch.Tensor, hr: torch.Tensor) -> torch.Tensor:
    """All sections (n, 1, H, W) of a stack of LR sections (n, 1, h, w); ``hr`` (n, 1, H, W) is for true codes only."""
    net.eval()
    if isinstance(net, Truth):
        return hr
    windows = [window_indices(z, len(lq), FRAMES) for z in range(len(lq))]
    if not isinstance(net, GPEMSR):
        return torch.cat([net(lq[None, indices]) for indices in windows])
    if isinstance(net.prior, Prior):
        net.prior.hr = hr
    sections = net.encode_sections(lq[None])
    if isinstance(net, GPEMSRWithMemory):
        return torch.cat(list(net.along(sections, windows)))
    return torch.cat([net.reconstruct(sections.window(indices)) for indices in windows])
