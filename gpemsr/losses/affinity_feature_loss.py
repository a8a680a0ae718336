"""Distance of a super-resolved section from the HR section, as a network that traces neurons sees them."""

from __future__ import annotations

import torch
from basicsr.utils.registry import ARCH_REGISTRY, LOSS_REGISTRY
from torch import nn

from gpemsr.checkpoints.files import network_options, read_checkpoint
from gpemsr.checkpoints.loading import check_state
from gpemsr.errors import InputError

NETWORKS = ("SuperhumanUNet", "MALAUNet")


@LOSS_REGISTRY.register()
class AffinityFeatureLoss(nn.Module):
    """L1 distance of the features of a frozen network for affinities, on every level on its way down.

    A perceptual loss whose features are those of the task, as SR4IR has them for detection (Kim et al., CVPR 2024). The
    network sees single sections. Each level's distance is divided by the mean absolute feature of the HR section, so
    that all levels weigh alike. Called as BasicSR's ``PerceptualLoss``, by ``train.perceptual_opt``.

    Args:
        weights: checkpoint of a :class:`SuperhumanUNet` or :class:`MALAUNet`, which says its own options.
        loss_weight: weight of the loss.
    """

    def __init__(self, weights: str, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        options = _options(weights)
        arguments = {key: value for key, value in options.items() if key != "type"}
        self.net = ARCH_REGISTRY.get(options["type"])(**arguments)  # build_network would open BasicSR's log too early
        self.net.load_state_dict(check_state(weights, options))
        self.net.requires_grad_(False).eval()

    @staticmethod
    def check_options(weights: str, loss_weight: float = 1.0) -> None:
        """Raise ValueError unless ``weights`` is a checkpoint of a network for affinities."""
        _options(weights)

    def train(self, mode: bool = True) -> AffinityFeatureLoss:
        """The network stays in eval mode."""
        return super().train(False)

    def forward(self, pred: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Loss, a scalar, of sections (b, 1, H, W) in [0, 1]; no style loss."""
        with torch.no_grad():
            expected = self.net.levels(target[:, :, None])
        pairs = zip(self.net.levels(pred[:, :, None]), expected, strict=True)
        distances = [(found - wanted).abs().mean() / wanted.abs().mean() for found, wanted in pairs]
        return self.loss_weight * torch.stack(distances).mean(), None


def _options(weights: str) -> dict:
    """Options of the network for affinities that a checkpoint is of; ValueError if it is of none."""
    try:
        options = network_options(read_checkpoint(weights))
    except InputError as error:
        raise ValueError(f"weights={weights}: {str(error).removeprefix(f'{weights}: ')}") from None
    if options is None:
        raise ValueError(f"weights={weights}: does not say which network it is for")
    if options["type"] not in NETWORKS:
        raise ValueError(f"weights={weights}: of {options['type']}; expected those of {' or '.join(NETWORKS)}")
    return options
