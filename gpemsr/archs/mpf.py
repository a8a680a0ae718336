"""MPF: multi-scale fusion of the generative prior into one section's features (paper, section 3.4)."""

from __future__ import annotations

import math

import torch
from basicsr.archs.arch_util import ResidualBlockNoBN, make_layer
from torch import nn
from torch.nn import functional as F

from gpemsr.archs.blocks import conv3, recomputed, up


class SimilarityMask(nn.Module):
    """Cosine similarity of LR and reference patches -> how far to trust the prior there, in (0, 1)."""

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            conv3(1, num_feat),
            nn.LeakyReLU(0.1, inplace=True),
            conv3(num_feat, num_feat),
            nn.LeakyReLU(0.1, inplace=True),
            conv3(num_feat, 1),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Sigmoid(),
        )

    def forward(self, similarity: torch.Tensor) -> torch.Tensor:
        """(n, 1, h', w') -> (n, 1, h', w')."""
        return self.layers(similarity)


class FusionLevel(nn.Module):
    """Fuse LR and generative features at one resolution: conv3, residual blocks, times the mask."""

    def __init__(self, in_channels: int, num_feat: int, num_blocks: int) -> None:
        super().__init__()
        self.conv = conv3(in_channels, num_feat)
        self.blocks = make_layer(ResidualBlockNoBN, num_blocks, num_feat=num_feat)

    def forward(self, inputs: list[torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
        """Feature maps of one size and a mask of any -> (n, num_feat, h, w)."""
        x = self.blocks(self.conv(torch.cat(inputs, dim=1)))
        return x * F.interpolate(mask, size=x.shape[-2:], mode="bilinear", align_corners=False)


class MultiScalePriorFusion(nn.Module):
    """Fuse the generative features into the LR features, from HR/2 down to LR resolution.

    Args:
        scale: 8 or 16.
        num_feat: width of the LR features.
        prior_channels: widths of the generative features at HR/2, HR/4, HR/8, HR/16.
        num_blocks: residual blocks after each fusion.
        hr_feat: width of the features larger than LR; ``num_feat`` if None.
    """

    def __init__(
        self, scale: int, num_feat: int, prior_channels: list[int], num_blocks: int = 1, hr_feat: int | None = None
    ) -> None:
        super().__init__()
        hr_feat = hr_feat or num_feat
        num_levels = int(math.log2(scale))  # HR/2 ... LR
        widths = [hr_feat] * (num_levels - 1) + [num_feat]
        self.mask = SimilarityMask(num_feat)
        self.lr_ups = nn.ModuleList(up(widths[i], hr_feat) for i in range(num_levels - 1, 0, -1))
        self.levels = nn.ModuleList()
        self.downs = nn.ModuleList()
        carried = 0
        for level, width in enumerate(widths):
            self.levels.append(FusionLevel(width + prior_channels[level] + carried, width, num_blocks))
            if level < num_levels - 1:
                carried += width
                self.downs.append(conv3(carried, carried, stride=2))
        self.reduce = nn.Conv2d(num_feat + carried + num_feat, num_feat, 1)

    @torch.no_grad()
    def start_quiet(self) -> None:
        """Give the LR features on as they are, until training lets the prior in."""
        for parameter in self.reduce.parameters():
            nn.init.zeros_(parameter)
        nn.init.dirac_(self.reduce.weight[:, -self.reduce.out_channels :])  # the last inputs are the LR features

    def by_section(
        self, feat: torch.Tensor, prior_features: list[torch.Tensor], similarity: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As :meth:`forward`; in training on a CPU section by section, and again for the gradient: less memory."""
        if not (feat.is_cpu and torch.is_grad_enabled()):
            return self(feat, prior_features, similarity)
        levels = zip(*(x.split(1) for x in prior_features), strict=True)
        sections = zip(feat.split(1), levels, similarity.split(1), strict=True)
        fused, mask = zip(*(recomputed(self, *section) for section in sections), strict=True)
        return torch.cat(fused), torch.cat(mask)

    def forward(
        self, feat: torch.Tensor, prior_features: list[torch.Tensor], similarity: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Fuse.

        Args:
            feat: LR features (n, num_feat, h, w).
            prior_features: generative features, coarse (HR/16) to fine (HR/2).
            similarity: patch similarity (n, 1, H/16, W/16).

        Returns:
            Fused features (n, num_feat, h, w) and the mask (n, 1, H/16, W/16).
        """
        mask = self.mask(similarity)
        lr_feats = [feat]
        for upsample in self.lr_ups:
            lr_feats.append(F.leaky_relu(upsample(lr_feats[-1]), 0.1, inplace=True))
        lr_feats.reverse()  # HR/2 ... LR
        carried: list[torch.Tensor] = []
        for i, level in enumerate(self.levels):
            fused = level([lr_feats[i], prior_features[-1 - i], *carried], mask)
            if i < len(self.downs):
                carried = [self.downs[i](torch.cat([fused, *carried], dim=1) if carried else fused)]
        return self.reduce(torch.cat([fused, *carried, feat], dim=1)), mask
