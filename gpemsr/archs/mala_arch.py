"""The 3-D U-Net of MALA, which predicts affinities of neighbouring voxels (Funke et al., IEEE TPAMI 2018)."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn

from gpemsr.archs.volume_padding import pad_to_multiple
from gpemsr.options.networks import OptionChecked, check_positive

POOL = (1, 3, 3)  # z, y, x: sections are thick
NUM_POOL = 3


@ARCH_REGISTRY.register()
class MALAUNet(OptionChecked, nn.Module):
    """U-Net of four levels, two 3 x 3 x 3 convolutions each, pooled by 3 within the sections only.

    Widths, kernels, pooling and the learned upsampling are the published ones; level k has
    ``num_feat * inc_factor**k`` features. The published network convolves without padding and gives back a
    smaller volume; this one pads its convolutions with zeros, so that the output is as large as the input and
    volumes of any size fit. Values near the edge of a block have seen less context: predict with overlapping blocks
    (:mod:`gpemsr.segmentation.prediction`).

    Args:
        num_feat: features of the first level.
        inc_factor: factor of the features from level to level.
    """

    def __init__(self, num_feat: int = 12, inc_factor: int = 5) -> None:
        super().__init__()
        self.check_options(num_feat=num_feat, inc_factor=inc_factor)
        widths = [num_feat * inc_factor**level for level in range(NUM_POOL + 1)]
        self.down = nn.ModuleList(two_convs(c_in, c) for c_in, c in zip([1, *widths], widths, strict=False))
        self.pool = nn.MaxPool3d(POOL, POOL)
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose3d(below, below, POOL, POOL, groups=below, bias=False),  # each feature separately
                nn.Conv3d(below, c, 1),
            )
            for c, below in pairwise(widths)
        )
        self.merge = nn.ModuleList(two_convs(2 * c, c) for c in widths[:-1])
        self.affinities = nn.Conv3d(num_feat, 3, 1)

    @classmethod
    def _check(cls, options: SimpleNamespace) -> None:
        check_positive(options, "num_feat", "inc_factor")

    def levels(self, raw: torch.Tensor) -> list[torch.Tensor]:
        """Features of the levels on the way down, of (b, 1, z, y, x) in [0, 1] whose y and x are padded first."""
        found: list[torch.Tensor] = []
        for convs in self.down:
            found.append(convs(self.pool(found[-1]) if found else pad_to_multiple(raw, [f**NUM_POOL for f in POOL])))
        return found

    def forward(self, raw: torch.Tensor) -> torch.Tensor:
        """(b, 1, z, y, x) in [0, 1] -> logits (b, 3, z, y, x) of the affinities to the voxel before along z, y, x."""
        z, y, x = raw.shape[-3:]
        skips = self.levels(raw)
        feat = skips[-1]
        for level in reversed(range(NUM_POOL)):
            feat = self.merge[level](torch.cat([skips[level], self.up[level](feat)], 1))
        return self.affinities(feat)[..., :z, :y, :x]


def two_convs(c_in: int, c_out: int) -> nn.Sequential:
    """Two convolutions of 3 x 3 x 3, each followed by ReLU."""
    return nn.Sequential(
        nn.Conv3d(c_in, c_out, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv3d(c_out, c_out, 3, padding=1),
        nn.ReLU(inplace=True),
    )
