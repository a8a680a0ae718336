"""The patch discriminator of stage I (PatchGAN, Isola et al. 2017, without padding)."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn

from gpemsr.options.networks import OptionChecked, check_widths

CHANNELS = [64, 128, 256, 512]
PATCH = 70  # pixels along y and x of which a score is made


@ARCH_REGISTRY.register()
class PatchDiscriminator(OptionChecked, nn.Module):
    """Scores overlapping patches of 70 x 70 pixels as real or generated.

    Args:
        channels: widths of the four convolutions before the last.
    """

    def __init__(self, channels: list[int] = CHANNELS) -> None:
        super().__init__()
        self.check_options(channels=channels)
        layers: list[nn.Module] = [nn.Conv2d(1, channels[0], 4, 2), nn.LeakyReLU(0.2, inplace=True)]
        for c_in, c_out, stride in zip(channels[:-1], channels[1:], (2, 2, 1), strict=True):
            layers += [
                nn.Conv2d(c_in, c_out, 4, stride, bias=False),
                nn.InstanceNorm2d(c_out),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        self.model = nn.Sequential(*layers, nn.Conv2d(channels[-1], 1, 4))

    @classmethod
    def _check(cls, options: SimpleNamespace) -> None:
        check_widths(options.channels, 1, "channels", length=4)

    def forward(self, img: torch.Tensor) -> torch.Tensor:
        """(b, 1, H, W) in [0, 1], H and W at least 70 -> scores (b, 1, h, w); 96 x 96 gives 4 x 4."""
        return self.model(img)
