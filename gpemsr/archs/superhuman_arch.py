"""The residual symmetric 3-D U-Net that predicts affinities (Lee et al., 2017, "Superhuman accuracy on SNEMI3D")."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn

from gpemsr.archs.shared_norm import SharedBatchNorm3d
from gpemsr.archs.volume_padding import pad_to_multiple
from gpemsr.options.networks import OptionChecked, check_widths

CHANNELS = [28, 36, 48, 64, 80]
POOL = (1, 2, 2)  # z, y, x: sections are thick


@ARCH_REGISTRY.register()
class SuperhumanUNet(OptionChecked, nn.Module):
    """U-Net of five levels, one residual module each, pooled within the sections only; skips are added.

    Args:
        channels: widths of the five levels.
    """

    def __init__(self, channels: list[int] = CHANNELS) -> None:
        super().__init__()
        self.check_options(channels=channels)
        self.embed = conv_norm(1, channels[0], (1, 5, 5))
        self.down = nn.ModuleList(
            ResidualModule(c_in, c) for c_in, c in zip([channels[0], *channels], channels, strict=False)
        )
        self.pool = nn.MaxPool3d(POOL, POOL)
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.Upsample(scale_factor=POOL, mode="trilinear"),
                nn.Conv3d(below, c, 1, bias=False),
                SharedBatchNorm3d(c),
            )
            for c, below in pairwise(channels)
        )
        self.merge = nn.ModuleList(nn.Sequential(nn.ELU(inplace=True), ResidualModule(c, c)) for c in channels[:-1])
        self.affinities = nn.Sequential(conv_norm(channels[0], channels[0], (1, 5, 5)), nn.Conv3d(channels[0], 3, 1))

    @classmethod
    def _check(cls, options: SimpleNamespace) -> None:
        check_widths(options.channels, 1, "channels", length=len(CHANNELS))

    def levels(self, raw: torch.Tensor) -> list[torch.Tensor]:
        """Features of the levels on the way down, of (b, 1, z, y, x) in [0, 1] whose y and x are padded first."""
        feat = self.embed(pad_to_multiple(raw, [factor ** len(self.up) for factor in POOL]))
        found: list[torch.Tensor] = []
        for module in self.down:
            found.append(module(self.pool(found[-1]) if found else feat))
        return found

    def forward(self, raw: torch.Tensor) -> torch.Tensor:
        """(b, 1, z, y, x) in [0, 1] -> logits (b, 3, z, y, x) of the affinities to the voxel before along z, y, x."""
        z, y, x = raw.shape[-3:]
        skips = self.levels(raw)
        feat = skips[-1]
        for level in reversed(range(len(self.up))):
            feat = self.merge[level](skips[level] + self.up[level](feat))
        return self.affinities(feat)[..., :z, :y, :x]


class ResidualModule(nn.Module):
    """A convolution within the sections, then two across them, whose result is added to the first one's."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.within = conv_norm(c_in, c_out, (1, 3, 3))
        self.across = nn.Sequential(
            conv_norm(c_out, c_out, (3, 3, 3)),
            nn.Conv3d(c_out, c_out, 3, padding=1, bias=False),
            SharedBatchNorm3d(c_out),
        )
        self.act = nn.ELU(inplace=True)

    def forward(self, feat: torch.Tensor) -> torch.Tensor:
        """(b, c_in, z, y, x) -> (b, c_out, z, y, x)."""
        feat = self.within(feat)
        return self.act(feat + self.across(feat))


def conv_norm(c_in: int, c_out: int, kernel: tuple[int, int, int]) -> nn.Sequential:
    """A convolution that keeps the size, batch normalisation and ELU."""
    return nn.Sequential(
        nn.Conv3d(c_in, c_out, kernel, padding="same", bias=False),
        SharedBatchNorm3d(c_out),
        nn.ELU(inplace=True),
    )
