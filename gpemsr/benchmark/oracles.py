"""What the prior could give: GPEMSR with the codes of the HR sections, and the prior's image alone."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from gpemsr.archs.blocks import pad_to_multiple
from gpemsr.archs.gpemsr_arch import GPEMSR, MULTIPLE
from gpemsr.archs.indexer_arch import LatentIndexer, PriorOutput
from gpemsr.archs.vqgan_arch import VQGAN


class TrueCodes(nn.Module):
    """Stands in for a network's prior: the codes of each section are those of its HR section, not predicted ones.

    Args:
        indexer: the prior, with the encoder of stage I.
        pairs: (LR section (1, 1, h, w), HR section (1, 1, r*h, r*w)) of all sections that will be asked for.
    """

    def __init__(self, indexer: LatentIndexer, pairs: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> None:
        super().__init__()
        self.indexer: LatentIndexer = indexer
        self.codes = {
            _key(pad_to_multiple(lq, MULTIPLE)): indexer.targets(pad_to_multiple(gt, MULTIPLE * indexer.scale))
            for lq, gt in pairs
        }

    @property
    def vqgan(self) -> VQGAN:
        """Stage I."""
        return self.indexer.vqgan

    @torch.no_grad()
    def prior(self, lq: torch.Tensor) -> PriorOutput:
        """As :meth:`LatentIndexer.prior`; KeyError for a section (of (n, 1, h, w)) that is not among the pairs."""
        codes = torch.cat([self.codes[_key(section[None])] for section in lq])
        image, features = self.vqgan.decode(codes)
        return PriorOutput(image, features, codes, torch.ones_like(codes, dtype=image.dtype))


def use_true_codes(net: GPEMSR, pairs: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> None:
    """Give a network in eval mode the codes of the HR sections; ``pairs`` as for :class:`TrueCodes`.

    Raises:
        ValueError: the network has no encoder of stage I to make codes with.
    """
    if net.prior.vqgan.encoder is None:
        raise ValueError("network_g.perceptual: expected vqgan, true codes need the encoder of stage I")
    net.add_module("prior", TrueCodes(net.prior, pairs))


def _key(lq: torch.Tensor) -> tuple:
    return (lq.shape[-2:], lq.cpu().numpy().tobytes())
