"""Contextual loss between a super-resolved section and the reference images of the prior."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch import distributed, nn
from torch.nn import functional as F

from gpemsr.archs.perceptual import VGG19Features
from gpemsr.archs.precision import full_precision
from gpemsr.archs.weights import DOWNLOAD

EPS = 1e-5
CPU_PLACES, GPU_PLACES = 2**19, 2**24  # of a block of rows: what a CPU's cache holds, and what occupies a GPU


def contextual_similarity(x: torch.Tensor, y: torch.Tensor, band_width: float) -> torch.Tensor:
    """Contextual similarity CX of two feature maps with the cosine distance (Mechrez et al. 2018, eq. 1-4).

    Each place of ``y`` looks for the place of ``x`` that matches it best; the matches are averaged with the
    weights exp((1 - distance) / band_width), so that places without a counterpart count little.

    Args:
        x: features (n, c, h, w); the gradient goes to them.
        y: features to be matched, (n * t, c, h', w'), t for each of ``x``; without gradient.
        band_width: width h of the exponential kernel.

    Returns:
        (n * t,), in (0, 1].
    """
    x, y = x.float(), y.detach().float()
    mean = y.mean(dim=(0, 2, 3))
    if distributed.is_initialized():  # the batch is that of all processes
        distributed.all_reduce(mean)
        mean /= distributed.get_world_size()
    rows = F.normalize((x - mean.view(-1, 1, 1)).flatten(2).transpose(1, 2), dim=2)
    return _Similarity.apply(rows, y.flatten(2), mean.view(-1, 1), band_width)


class _Similarity(torch.autograd.Function):
    """Similarity of rows x (n, places, c) of unit length and columns y (n * t, c, places), less a mean (c, 1).

    The value depends on the places of ``x`` that win some place of ``y``, and on no others: they are found without a
    graph, block by block, and they alone get a gradient, so that no matrix of all places is ever kept.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, y: torch.Tensor, mean: torch.Tensor, band_width: float) -> torch.Tensor:
        ctx.save_for_backward(x, y, mean)
        ctx.band_width = band_width
        values, ctx.winners = [], []
        for rows, columns in _pairs(x, y, mean):
            affinity, weight, best = _matches(rows, columns, band_width)
            total = weight.sum()
            value = (affinity * weight).sum() / total
            # d value = sum(weight * d affinity + (affinity - value) * d weight) / total
            ctx.winners.append((best, torch.stack([weight, affinity - value]) / total))
            values.append(value)
        return torch.stack(values)

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        x, y, mean = ctx.saved_tensors
        gradient = torch.zeros_like(x)
        t = len(y) // len(x)
        for number, ((rows, columns), (best, factors)) in enumerate(zip(_pairs(x, y, mean), ctx.winners, strict=True)):
            _add_gradient(gradient[number // t], rows, columns, ctx.band_width, best, factors * outer[0][number])
        return gradient, None, None, None


def _pairs(x: torch.Tensor, y: torch.Tensor, mean: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Rows (places, c) and columns (c, places), both of unit length, of each of ``y``."""
    t = len(y) // len(x)
    for number, features in enumerate(y):
        yield x[number // t], F.normalize(features - mean, dim=0)


def _affinity(rows: torch.Tensor, columns: torch.Tensor, band_width: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Affinity of places of ``x`` to those of ``y``, normalised along ``y``, and distance; (rows, columns) both."""
    distance = 1 - rows @ columns
    relative = distance / (distance.amin(dim=1, keepdim=True) + EPS)
    score = ((1 - relative) / band_width).exp()
    return score / (score.sum(dim=1, keepdim=True) + EPS), distance


def _block(columns: torch.Tensor) -> int:
    """Rows of a block."""
    return max(1, (CPU_PLACES if columns.is_cpu else GPU_PLACES) // columns.shape[1])


def _matches(
    rows: torch.Tensor, columns: torch.Tensor, band_width: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Affinity, weight and row of the best match of each column."""
    found = []
    for start, block in zip(range(0, len(rows), _block(columns)), rows.split(_block(columns)), strict=True):
        affinity, distance = _affinity(block, columns, band_width)
        highest, best = affinity.max(dim=0)
        found.append((highest, distance.gather(0, best[None])[0], best + start))
    affinities, distances, rows_of = (torch.stack(values) for values in zip(*found, strict=True))
    affinity, block_of = affinities.max(dim=0, keepdim=True)
    weight = ((1 - distances.gather(0, block_of)[0]) / band_width).exp()
    return affinity[0], weight, rows_of.gather(0, block_of)[0]


def _add_gradient(
    gradient: torch.Tensor,
    rows: torch.Tensor,
    columns: torch.Tensor,
    band_width: float,
    best: torch.Tensor,
    factors: torch.Tensor,
) -> None:
    """Add the gradient of sum(factors * (affinity, weight)) of the best matches to the rows that win."""
    winners, place = best.unique(return_inverse=True)
    block = _block(columns)
    for start, chosen in zip(range(0, len(winners), block), winners.split(block), strict=True):
        won = ((place >= start) & (place < start + block)).nonzero()[:, 0]
        at = (place[won] - start, won)
        with torch.enable_grad():
            block_rows = rows[chosen].requires_grad_()
            affinity, distance = _affinity(block_rows, columns, band_width)
            matched = torch.stack([affinity[at], ((1 - distance[at]) / band_width).exp()])
            gradient[chosen] += torch.autograd.grad((factors[:, won] * matched).sum(), block_rows)[0]


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
        """Raise ValueError naming the option that is not valid."""
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
        with torch.no_grad():
            target = torch.stack([self.extractor(images) for images in reference.unbind(1)], dim=1).flatten(0, 1)
        features = self.extractor(pred)
        with full_precision(pred.device):
            similarity = contextual_similarity(features, target, self.band_width)
        return -self.loss_weight * (similarity + EPS).log().mean()
