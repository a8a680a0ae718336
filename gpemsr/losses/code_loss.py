"""Cross-entropy of the codebook indices that stage II predicts."""

from __future__ import annotations

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch import nn
from torch.nn import functional as F


@LOSS_REGISTRY.register()
class CodeLoss(nn.Module):
    """Cross-entropy between predicted logits and the codes that stage I gives the HR image.

    Args:
        loss_weight: weight of the loss.
        label_smoothing: probability spread over all codes, in [0, 1).
    """

    def __init__(self, loss_weight: float = 1.0, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.label_smoothing = label_smoothing

    def forward(self, logits: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """Loss, a scalar, of logits (b, num_codes, h, w) and codes (b, h, w)."""
        return self.loss_weight * F.cross_entropy(logits, codes, label_smoothing=self.label_smoothing)
