"""Optical flow between sections: SPyNet, frozen as published or learned with the rest."""

from __future__ import annotations

import torch
from basicsr.archs.spynet_arch import SpyNet
from torch import nn
from torch.nn import functional as F

from gpemsr.archs.weights import SPYNET, load_weights
from gpemsr.compat.sampled_convolution import counted

FLOWS = ("spynet", "train")
PUBLISHED_LEVELS = 6


class SectionFlow(SpyNet):
    """BasicSR's SPyNet with any number of pyramid levels, for sections of any size.

    The state dict and, with six levels, the result are BasicSR's, whose own code fails on images below 33 pixels.

    Args:
        levels: levels of the pyramid, each half the size of the one before.
    """

    basic_module: nn.ModuleList

    def __init__(self, levels: int = PUBLISHED_LEVELS) -> None:
        super().__init__()
        self.basic_module = nn.ModuleList(list(self.basic_module)[-levels:])
        for module in self.basic_module.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = True

    @classmethod
    def of(cls, spynet: SpyNet, levels: int, weights: str | None) -> SectionFlow:
        """A toolbox's SPyNet (BasicSR's or MMagic's, names kept) with so many levels, learned.

        Args:
            spynet: with the six levels in ``basic_module``; its last ones are taken, not copied.
            levels: levels of the pyramid.
            weights: path of BasicSR's file, or None to start from zero flow.
        """
        if weights is not None:
            state = load_weights(weights, SPYNET)["params"]
            values = [value for key, value in state.items() if key.startswith("basic_module.")]
            with torch.no_grad():
                for parameter, value in zip(spynet.basic_module.parameters(), values, strict=True):
                    parameter.copy_(value)
        net = cls(levels)
        net.basic_module = nn.ModuleList(list(spynet.basic_module)[-levels:])
        if weights is None:
            net.start_at_zero()
        return net

    def start_at_zero(self) -> None:
        """Let every level's correction of the flow be zero."""
        for module in self.basic_module:
            *_, last = module.modules()
            for parameter in last.parameters():
                nn.init.zeros_(parameter)

    def process(self, ref: torch.Tensor, supp: torch.Tensor) -> torch.Tensor:
        """Flow (n, 2, h, w) that warps ``supp`` onto ``ref``; sizes are multiples of 2^(levels - 1)."""
        pairs = [(self.preprocess(ref), self.preprocess(supp))]
        for _ in self.basic_module[1:]:
            pairs.insert(0, (F.avg_pool2d(pairs[0][0], 2), F.avg_pool2d(pairs[0][1], 2)))
        flow = torch.zeros_like(pairs[0][0][:, :2])
        for level, (module, (ref_level, supp_level)) in enumerate(zip(self.basic_module, pairs, strict=True)):
            if level > 0:
                flow = 2 * F.interpolate(flow, scale_factor=2, mode="bilinear", align_corners=True)
            flow = flow + module(torch.cat([ref_level, warp(supp_level, flow), flow], dim=1)).float()
        return flow

    def forward(self, ref: torch.Tensor, supp: torch.Tensor) -> torch.Tensor:
        """(n, 1, h, w) both, in [0, 1] -> flow (n, 2, h, w) in pixels, x first; float32, also in autocast."""
        h, w = ref.shape[-2:]
        multiple = 2 ** (len(self.basic_module) - 1)
        size = (h + -h % multiple, w + -w % multiple)
        if size == (h, w):
            return self.process(ref, supp)
        resized = (F.interpolate(x, size=size, mode="bilinear", align_corners=False) for x in (ref, supp))
        flow = F.interpolate(self.process(*resized), size=(h, w), mode="bilinear", align_corners=False)
        return torch.cat([flow[:, :1] * (w / size[1]), flow[:, 1:] * (h / size[0])], dim=1)


def warp(x: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """``x`` (n, c, h, w) sampled bilinearly where the flow (n, 2, h, w) points to, in pixels; outside, the edge."""
    places = []
    for axis, size, place in ((0, x.shape[-1], counted(x[0, 0, 0])), (1, x.shape[-2], counted(x[0, 0, :, :1]))):
        places.append(2 * (flow[:, axis] + place) / max(size - 1, 1) - 1)
    return F.grid_sample(x, torch.stack(places, dim=-1), padding_mode="border", align_corners=True)


def build_flow(flow: str, weights: str | None, levels: int) -> SectionFlow:
    """Make the flow network for sections of one channel.

    Args:
        flow: ``"spynet"``: frozen; ``"train"``: learned, starting from zero flow.
        weights: of ``"spynet"``: path of BasicSR's file, ``"download"``, or None (weights come with a checkpoint).
        levels: levels of the pyramid; the published network has six.
    """
    net = SectionFlow(levels)
    if flow == "train":
        net.start_at_zero()
        return net
    if weights is not None:
        state = load_weights(weights, SPYNET)["params"]
        # older files lack the two constant buffers
        net.load_state_dict({"mean": net.mean, "std": net.std} | state)
    return net.requires_grad_(False)
