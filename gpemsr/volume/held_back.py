"""Super-resolving the sections held back from training, and scoring them against the HR sections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from gpemsr.archs.gpemsr_arch import GPEMSR
from gpemsr.metrics.codebook_usage import CodebookUsage
from gpemsr.metrics.images import score, upscale_bicubic
from gpemsr.volume.section_cache import SectionCache


@dataclass
class SectionResult:
    """One held-back section; images are float32 (y, x) in [0, 1], scores are of 8-bit images without border crop.

    Attributes:
        key: ``<volume>/<section:08d>``.
        lq, bicubic, sr, gt: LR, bicubic interpolation, GPEMSR, HR.
        scores: ``psnr_bicubic``, ``ssim_bicubic``, ``psnr``, ``ssim`` and ``index_accuracy`` (share of the prior's
            codes that are those of the HR section).
    """

    key: str
    lq: np.ndarray
    bicubic: np.ndarray
    sr: np.ndarray
    gt: np.ndarray
    scores: dict[str, float]


class HeldBackSections:
    """Iterates over the sections of a test data set, each super-resolved and scored.

    Args:
        net: the trained network, with its stage I encoder (``perceptual: vqgan``) for the codes.
        dataset: a ``SectionWindowTestDataset`` with HR sections.
        device: where to compute.

    Attributes:
        usage: counts of the codes that stage I gives the HR sections seen so far.
    """

    def __init__(self, net: GPEMSR, dataset: Dataset, device: torch.device | str = "cpu") -> None:
        self.net = net.eval().to(device)
        self.dataset = dataset
        self.device = device
        self.usage = CodebookUsage(net.prior.vqgan.codebook.embedding.num_embeddings, memory=10**9, device=device)

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    @torch.no_grad()
    def __iter__(self) -> Iterator[SectionResult]:
        cache = SectionCache(self.net)
        for index in range(len(self)):
            item = self.dataset[index]
            window = item["lq"][None].to(self.device)
            sr = cache.reconstruct(window)[0, 0].clamp(0, 1).cpu().numpy()
            centre = window[:, window.shape[1] // 2]
            codes = self.net.prior.targets(item["gt"][None].to(self.device))
            predicted = cache.encode(centre).codes[0, :, : codes.shape[-2], : codes.shape[-1]]  # without padding
            self.usage.update(codes)
            lq, gt = centre[0, 0].cpu().numpy(), item["gt"][0].numpy()
            bicubic = upscale_bicubic(lq, self.net.scale)
            scores = {
                **{f"{name}_bicubic": value for name, value in score(bicubic, gt).items()},
                **score(sr, gt),
                "index_accuracy": (predicted == codes).float().mean().item(),
            }
            yield SectionResult(item["key"], lq, bicubic, sr, gt, scores)
