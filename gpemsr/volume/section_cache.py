"""Encoding each section once while windows slide along a stack."""

from __future__ import annotations

from collections import OrderedDict

import torch

from gpemsr.archs.gpemsr_arch import GPEMSR, SectionFeatures


class SectionCache:
    """The features of the sections seen last, so that overlapping windows share them.

    Args:
        net: the network, in eval mode.
        capacity: sections kept; one window's worth by default.
    """

    def __init__(self, net: GPEMSR, capacity: int | None = None) -> None:
        self.net = net
        self.capacity = capacity or net.num_frame
        self.sections: OrderedDict[tuple, SectionFeatures] = OrderedDict()

    @torch.no_grad()
    def reconstruct(self, lq: torch.Tensor) -> torch.Tensor:
        """Window (1, t, 1, h, w) -> HR centre section (1, 1, r*h, r*w), as the network's forward gives it."""
        return self.net.reconstruct(SectionFeatures.cat([self.encode(section[None]) for section in lq[0]]))

    def encode(self, section: torch.Tensor) -> SectionFeatures:
        """Features of one section (1, 1, h, w), from the cache if it was seen lately."""
        key = (section.shape, section.cpu().numpy().tobytes())
        if key not in self.sections:
            self.sections[key] = self.net.encode_sections(section[None])
        self.sections.move_to_end(key)
        while len(self.sections) > self.capacity:
            self.sections.popitem(last=False)
        return self.sections[key]
