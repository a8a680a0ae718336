"""Frozen feature extractors that compare a reference image with its LR section."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models.vgg import cfgs, make_layers

from gpemsr.archs.blocks import in_bands, is_traced, recomputed
from gpemsr.archs.vqgan_arch import VQGAN
from gpemsr.archs.weights import DOWNLOAD, VGG19, load_weights

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# layer -> entries of torchvision's VGG19 configuration ("E"), and modules of its `features`, up to that layer
VGG19_DEPTH = {"relu1_2": (2, 4), "relu2_2": (5, 9), "relu3_4": (10, 18)}

FULL_SIZE = 5  # modules up to the first pooling


class VGG19Features(nn.Module):
    """VGG19 up to one layer and no deeper, frozen.

    Args:
        layer: ``relu1_2``, ``relu2_2`` or ``relu3_4``.
        weights: path of torchvision's VGG19 state dict, ``"download"``, or None (weights come with a checkpoint).
        normalize: apply ImageNet's mean and standard deviation first.
    """

    def __init__(self, layer: str, weights: str | None = DOWNLOAD, normalize: bool = False) -> None:
        super().__init__()
        entries, modules = VGG19_DEPTH[layer]
        self.features = make_layers(cfgs["E"][:entries])[:modules]
        self.normalize = normalize
        if weights is not None:
            state = load_weights(weights, VGG19)
            self.load_state_dict({key: state[key] for key in self.state_dict()})
        self.requires_grad_(False)

    def forward(self, img: torch.Tensor) -> torch.Tensor:
        """(b, 1, H, W) in [0, 1] -> features (b, c, H/2^k, W/2^k) of the layer."""
        if self.normalize:
            mean, std = (img.new_tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
            img = (img - mean) / std  # one channel broadcasts to three
        x = recomputed(self.features[:FULL_SIZE], img.expand(-1, 3, -1, -1))
        return self.features[FULL_SIZE:](x)


class EncoderFeatures(nn.Module):
    """The first layers of a frozen stage I encoder: features learned from EM, nothing to download.

    The encoder's layers are used, not owned: they stay part of the VQGAN's state dict.

    Args:
        vqgan: stage I network with its encoder.
        steps: 0 for the full-size features before the first residual step, k for those after k of them (1/2^k).
    """

    def __init__(self, vqgan: VQGAN, steps: int = 0) -> None:
        super().__init__()
        self._layers = (vqgan.encoder.stem, *vqgan.encoder.steps[:steps])

    def forward(self, img: torch.Tensor) -> torch.Tensor:
        """(b, 1, H, W) in [0, 1] -> features (b, c, H/2^steps, W/2^steps)."""
        for layer in self._layers:
            img = layer(img)
        return img


def feature_cosine(features: nn.Module, a: torch.Tensor, b: torch.Tensor, patch: int) -> torch.Tensor:
    """:func:`patch_cosine` of two images' full-size features, which look no further than ``patch`` pixels."""
    return in_bands(lambda a, b: patch_cosine(features(a), features(b), patch), a, b, halo=patch)


def patch_cosine(a: torch.Tensor, b: torch.Tensor, patch: int) -> torch.Tensor:
    """Cosine similarity of the non-overlapping patches of two feature maps.

    On a CPU row by row of patches, so that the products stay in its cache.

    Args:
        a, b: (n, c, H, W), H and W multiples of ``patch``.
        patch: side of a patch, all of whose c * patch^2 values make one vector.

    Returns:
        (n, 1, H/patch, W/patch) in [-1, 1].
    """
    if a.is_cpu and not is_traced() and a.shape[2] > patch:
        rows = zip(a.split(patch, dim=2), b.split(patch, dim=2), strict=True)
        return torch.cat([patch_cosine(*row, patch) for row in rows], dim=2)

    def inner(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d((x * y).sum(1, keepdim=True, dtype=torch.float32), patch, divisor_override=1)

    return inner(a, b) / (inner(a, a).sqrt().clamp_min(1e-12) * inner(b, b).sqrt().clamp_min(1e-12))
