"""Contextual loss between a super-resolved section and the reference images of the prior."""

from __future__ import annotations

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch import nn
from torch.nn import functional as F

from gpemsr.archs.perceptual import VGG19Features
from gpemsr.archs.precision import full_precision
from gpemsr.archs.weights import DOWNLOAD

EPS = 1e-5


def contextual_similarity(x: torch.Tensor, y: torch.Tensor, band_width: float) -> torch.Tensor:
    """Contextual similarity CX of two feature maps with the cosine distance (Mechrez et al. 2018, eq. 1-4).

    Each place of ``y`` looks for the place of ``x`` that matches it best; the matches are averaged with the
    weights exp((1 - distance) / band_width), so that places without a counterpart count little.

    Args:
        x: features (n, c, h, w).
        y: features to be matched, (n, c, h', w').
        band_width: width h of the exponential kernel.

    Returns:
        (n,), in (0, 1].
    """
    x, y = x.float(), y.float()
    mean = y.mean(dim=(0, 2, 3), keepdim=True)
    x, y = (F.normalize(v - mean, dim=1).flatten(2) for v in (x, y))
    distance = 1 - x.transpose(1, 2) @ y  # (n, h*w, h'*w')
    relative = distance / (distance.amin(dim=2, keepdim=True) + EPS)
    score = ((1 - relative) / band_width).exp()
    affinity, best = (score / (score.sum(dim=2, keepdim=True) + EPS)).max(dim=1, keepdim=True)  # (n, 1, h'*w')
    weight = ((1 - distance.gather(1, best)) / band_width).exp()
    return (affinity * weight).sum(dim=(1, 2)) / weight.sum(dim=(1, 2))


@LOSS_REGISTRY.register()
class ContextualLoss(nn.Module):
    """-log CX between deep features of the output and of reference images (paper, section 3.5).

    Args:
        loss_weight: weight of the loss.
        band_width: see :func:`contextual_similarity`.
        features: ``vgg19`` (relu3_4, images normalised as ImageNet's), or ``vqgan``: the model that uses
            the loss sets :attr:`extractor` to its own stage I encoder.
        vgg_weights: path of torchvision's VGG19, or ``download``; null leaves the weights random, to be loaded.

    Attributes:
        extractor: images (n, 1, H, W) -> features (n, c, h, w).
    """

    def __init__(
        self,
        loss_weight: float = 1.0,
        band_width: float = 0.5,
        features: str = "vgg19",
        vgg_weights: str | None = DOWNLOAD,
    ) -> None:
        super().__init__()
        self.check_options(features=features, band_width=band_width)
        self.loss_weight = loss_weight
        self.band_width = band_width
        self.features = features
        self.extractor: nn.Module | None = None
        if features == "vgg19":
            self.extractor = VGG19Features("relu3_4", vgg_weights, normalize=True)

    @classmethod
    def check_options(cls, features: str = "vgg19", band_width: float = 0.5, **_) -> None:
        """Raise ValueError naming the option that does not fit."""
        if features not in ("vgg19", "vqgan"):
            raise ValueError(f"features={features}: vgg19 or vqgan")
        if band_width <= 0:
            raise ValueError(f"band_width={band_width}: a positive number")

    def forward(self, pred: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """Loss, a scalar.

        Args:
            pred: super-resolved sections (b, 1, H, W) in [0, 1].
            reference: reference images (b, t, 1, H, W); each is compared with the one ``pred`` of its row.
        """
        t = reference.shape[1]
        with torch.no_grad():
            target = self.extractor(reference.flatten(0, 1))
        features = self.extractor(pred).repeat_interleave(t, dim=0)
        with full_precision(pred.device):
            similarity = contextual_similarity(features, target, self.band_width)
        return -self.loss_weight * (similarity + EPS).log().mean()
