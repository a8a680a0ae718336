"""Optical flow between sections: BasicSR's SPyNet, frozen as published or learned with the rest."""

from __future__ import annotations

import torch
from basicsr.archs.spynet_arch import SpyNet
from basicsr.utils.download_util import load_file_from_url
from torch import nn

SPYNET_URL = "https://github.com/XPixelGroup/BasicSR/releases/download/v1.4.0/spynet_sintel_final-3d2a1287.pth"
FLOWS = ("spynet", "train")


def build_flow(flow: str, weights: str | None) -> SpyNet:
    """SPyNet for sections of one channel.

    Args:
        flow: ``"spynet"``: frozen; ``"train"``: learned, starting from zero flow.
        weights: path of BasicSR's SPyNet file, ``"download"``, or None (weights come with a checkpoint).
    """
    if flow == "train":
        net = SpyNet()
        for module in net.basic_module:
            nn.init.zeros_(module.basic_module[-1].weight)
            nn.init.zeros_(module.basic_module[-1].bias)
        return net
    if weights == "download":
        weights = load_file_from_url(SPYNET_URL)
    net = SpyNet()
    if weights is not None:
        state = torch.load(weights, map_location="cpu", weights_only=True)["params"]
        # older files lack the two constant buffers
        net.load_state_dict({"mean": net.mean, "std": net.std} | state)
    return net.requires_grad_(False)
