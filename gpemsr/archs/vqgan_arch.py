"""Stage I: the VQGAN that learns a codebook of how high-resolution tissue looks (paper, section 3.2)."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn
from torch.nn import functional as F

from gpemsr.archs.blocks import NonLocal, ResBlock, conv3, in_bands, pad_to_multiple, up
from gpemsr.archs.precision import full_precision
from gpemsr.options.networks import OptionChecked, check_positive, check_widths

DOWNSAMPLING = 16  # HR pixels per latent vector and axis
CHANNELS = [64, 64, 128, 256, 512]


class Encoder(nn.Module):
    """HR image -> latent vectors at 1/16 of its size."""

    def __init__(self, channels: list[int], code_dim: int, num_res_blocks: int, norm_groups: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv3(1, channels[0]), nn.ReLU(inplace=True))
        self.steps = nn.ModuleList(
            nn.Sequential(
                *(ResBlock(c_in, c_in, norm_groups) for _ in range(num_res_blocks)), conv3(c_in, c_out, stride=2)
            )
            for c_in, c_out in pairwise(channels)
        )
        width = channels[-1]
        self.attention = NonLocal(width, norm_groups)
        self.head = nn.Sequential(
            *(ResBlock(width, width, norm_groups) for _ in range(3)), nn.Conv2d(width, code_dim, 1)
        )

    def forward(self, img: torch.Tensor) -> torch.Tensor:
        """(b, 1, 16h, 16w) in [0, 1] -> (b, code_dim, h, w)."""
        x = self.stem(img)
        for step in self.steps:
            x = step(x)
        return self.head(self.attention(x))


class Decoder(nn.Module):
    """Latent vectors -> HR image and the multi-scale generative features.

    ``channels`` are the encoder's, fine to coarse.
    """

    def __init__(self, channels: list[int], code_dim: int, num_res_blocks: int, norm_groups: int) -> None:
        super().__init__()
        coarse_to_fine = channels[::-1]
        width = coarse_to_fine[0]
        self.stem = nn.Sequential(
            nn.Conv2d(code_dim, width, 1), *(ResBlock(width, width, norm_groups) for _ in range(3))
        )
        self.attention = NonLocal(width, norm_groups)
        self.res_blocks = nn.ModuleList(
            nn.Sequential(*(ResBlock(c, c, norm_groups) for _ in range(num_res_blocks))) for c in coarse_to_fine[:-1]
        )
        self.ups = nn.ModuleList(up(c_in, c_out) for c_in, c_out in pairwise(coarse_to_fine))
        self.head = conv3(coarse_to_fine[-1], 1)

    def forward(self, latent: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """(b, code_dim, h, w) -> image (b, 1, 16h, 16w), features of sizes (h, w) x 1, 2, 4, 8."""
        features = [self.res_blocks[0](self.attention(self.stem(latent)))]
        for upsample, res_blocks in zip(self.ups[:-1], self.res_blocks[1:], strict=True):
            features.append(res_blocks(upsample(features[-1])))
        return in_bands(lambda x: self.head(self.ups[-1](x)), features[-1], halo=1, scale=2), features


class Codebook(nn.Module):
    """Vector quantisation by the nearest codebook entry, with straight-through gradient.

    Loss: mean((sg(z_q) - z)^2) + beta * mean((z_q - sg(z))^2)  (van den Oord et al. 2017).
    """

    def __init__(self, num_codes: int, code_dim: int, beta: float) -> None:
        super().__init__()
        self.beta = beta
        self.embedding = nn.Embedding(num_codes, code_dim)
        nn.init.uniform_(self.embedding.weight, -1 / num_codes, 1 / num_codes)

    def nearest(self, z: torch.Tensor) -> torch.Tensor:
        """Indices (b, h, w) of the entries nearest to ``z`` (b, c, h, w) in squared L2 distance."""
        flat = z.float().permute(0, 2, 3, 1).flatten(0, 2)
        entries = self.embedding.weight
        with full_precision(z.device):
            distance = entries.square().sum(1) - 2 * flat @ entries.T  # less |z|^2, which moves no minimum
        return distance.argmin(1).view(z.shape[0], *z.shape[2:])

    def lookup(self, codes: torch.Tensor) -> torch.Tensor:
        """Latent vectors (b, c, h, w) of indices (b, h, w)."""
        return self.embedding(codes).permute(0, 3, 1, 2)

    def forward(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(b, c, h, w) -> quantised (b, c, h, w), loss (scalar), indices (b, h, w)."""
        z = z.float()
        codes = self.nearest(z)
        z_q = self.lookup(codes)
        loss = F.mse_loss(z, z_q.detach()) + self.beta * F.mse_loss(z_q, z.detach())
        return z + (z_q - z).detach(), loss, codes


@ARCH_REGISTRY.register()
class VQGAN(OptionChecked, nn.Module):
    """VQGAN generator: encoder, codebook, decoder.

    Args:
        channels: widths from full size to 1/16, fine to coarse.
        num_codes: entries of the codebook.
        code_dim: dimensions of a latent vector.
        num_res_blocks: residual blocks per resolution step.
        norm_groups: groups of every GroupNorm.
        beta: weight of the loss term that moves the codebook.
        with_encoder: False leaves the encoder out, for use as a prior that starts from codes.
    """

    def __init__(
        self,
        channels: list[int] = CHANNELS,
        num_codes: int = 1024,
        code_dim: int = 512,
        num_res_blocks: int = 1,
        norm_groups: int = 32,
        beta: float = 1.0,
        with_encoder: bool = True,
    ) -> None:
        super().__init__()
        self.check_options(
            channels=channels,
            num_codes=num_codes,
            code_dim=code_dim,
            num_res_blocks=num_res_blocks,
            norm_groups=norm_groups,
        )
        self.channels = list(channels)
        widths = (self.channels, code_dim, num_res_blocks, norm_groups)
        self.encoder = Encoder(*widths) if with_encoder else None
        self.codebook = Codebook(num_codes, code_dim, beta)
        self.decoder = Decoder(*widths)

    @classmethod
    def _check(cls, options: SimpleNamespace) -> None:
        check_positive(options, "num_codes", "code_dim", "num_res_blocks", "norm_groups")
        check_widths(options.channels, options.norm_groups, "channels", length=5)

    def encode(self, img: torch.Tensor) -> torch.Tensor:
        """Codes (b, ceil(H/16), ceil(W/16)) of an HR image (b, 1, H, W) in [0, 1]."""
        return self.codebook.nearest(self.encoder(pad_to_multiple(img, DOWNSAMPLING)))

    def decode(self, codes: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Image (b, 1, 16h, 16w) and multi-scale features (coarse to fine) of codes (b, h, w)."""
        return self.decoder(self.codebook.lookup(codes))

    def forward(self, img: torch.Tensor, quantize: bool = True) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Encode, quantise and decode.

        Args:
            img: (b, 1, H, W) in [0, 1].
            quantize: False decodes the latent vectors as they are, as a plain autoencoder does.

        Returns:
            Reconstruction (b, 1, H, W), codebook loss, codes (b, H/16, W/16).
        """
        h, w = img.shape[-2:]
        z = self.encoder(pad_to_multiple(img, DOWNSAMPLING))
        z_q, loss, codes = self.codebook(z)
        reconstruction, _ = self.decoder(z_q if quantize else z)
        return reconstruction[..., :h, :w], loss if quantize else 0 * loss, codes
