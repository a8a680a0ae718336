"""Cross-entropy of affinities, with both classes of equal weight."""

from __future__ import annotations

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch import distributed, nn
from torch.nn import functional as F


@LOSS_REGISTRY.register()
class AffinityLoss(nn.Module):
    """Binary cross-entropy of affinity logits; each batch's affinities of 0 and of 1 weigh alike.

    The weight of a class is 1 / (2 * its share of the voxels that count), the usual balance for affinities (Funke et
    al. 2018), with the share held within ``min_share`` and 1 - ``min_share``. In a training of several processes the
    batch is that of all, whose losses have this one as their mean.

    Args:
        loss_weight: weight of the loss.
        balance: false gives all voxels the weight 1.
        min_share: smallest share of a class, in (0, 0.5], that is made up for.
    """

    def __init__(self, loss_weight: float = 1.0, balance: bool = True, min_share: float = 0.05) -> None:
        super().__init__()
        self.check_options(loss_weight, balance, min_share)
        self.loss_weight = loss_weight
        self.balance = balance
        self.min_share = min_share

    @staticmethod
    def check_options(loss_weight: float = 1.0, balance: bool = True, min_share: float = 0.05) -> None:
        """Raise ValueError unless ``min_share`` is a share of the rarer class."""
        if not 0 < min_share <= 0.5:
            raise ValueError(f"min_share={min_share}: above 0 and at most 0.5")

    def forward(self, logits: torch.Tensor, affinities: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Loss, a scalar, of logits, affinities (0 or 1) and mask (0: does not count), all (b, 3, z, y, x)."""
        mask = (mask > 0).to(logits.dtype)
        counts, processes = torch.stack([mask.sum(), (affinities * mask).sum()]), 1
        if logits.requires_grad and distributed.is_initialized():
            distributed.all_reduce(counts)
            processes = distributed.get_world_size()
        count = counts[0].clamp(min=1)
        weight = mask
        if self.balance:
            share = (counts[1] / count).clamp(self.min_share, 1 - self.min_share)
            weight = mask * torch.where(affinities > 0.5, 0.5 / share, 0.5 / (1 - share))
        each = F.binary_cross_entropy_with_logits(logits, affinities, weight, reduction="none")
        return self.loss_weight * processes * each.sum() / count
