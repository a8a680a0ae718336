"""R1 gradient penalty of the stage I discriminator."""

from __future__ import annotations

import torch
from basicsr.losses.gan_loss import r1_penalty
from basicsr.utils.registry import LOSS_REGISTRY
from torch import nn


@LOSS_REGISTRY.register()
class R1Loss(nn.Module):
    """``loss_weight / 2`` times the squared gradient of the scores on real images (Mescheder et al. 2018).

    Args:
        loss_weight: weight gamma of the penalty.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, real_scores: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        """Penalty, a scalar, of scores computed from ``real`` (b, 1, H, W), which must require a gradient."""
        return self.loss_weight / 2 * r1_penalty(real_scores, real)
