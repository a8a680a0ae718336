"""Super-resolving the sections held back from training, and scoring them against the HR sections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from gpemsr.archs.baselines_arch import Bicubic
from gpemsr.archs.gpemsr_arch import GPEMSR, SectionFeatures
from gpemsr.data.grey_values import eight_bits
from gpemsr.data.section_sampling import section_key
from gpemsr.data.section_window_test_dataset import SectionStack, SectionWindowTestDataset
from gpemsr.metrics.codebook_usage import CodebookUsage
from gpemsr.metrics.psnr_ssim import psnr_ssim
from gpemsr.volume.section_loop import encoded_windows


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
        dataset: with HR sections.
        device: where to compute.

    Attributes:
        usage: counts of the codes that stage I gives the HR sections seen so far.
    """

    def __init__(self, net: GPEMSR, dataset: SectionWindowTestDataset, device: torch.device | str = "cpu") -> None:
        self.net = net.eval().to(device)
        self.dataset = dataset
        self.device = device
        self.bicubic = Bicubic(net.scale)
        self.usage = CodebookUsage(net.prior.vqgan.codebook.embedding.num_embeddings, memory=10**9, device=device)

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[SectionResult]:
        for stack in self.dataset.stacks.values():
            for index, window in enumerate(encoded_windows(self.net, stack, device=self.device)):
                yield self._scored(stack, index, window)

    @torch.no_grad()
    def _scored(self, stack: SectionStack, index: int, window: SectionFeatures) -> SectionResult:
        lq, gt = stack[index], stack.gt(index)
        assert gt is not None
        codes = self.net.prior.targets(gt[None].to(self.device))
        predicted = window.codes[:, self.net.centre, : codes.shape[-2], : codes.shape[-1]]  # without padding
        self.usage.update(codes)
        results = self.net.reconstruct(window), self.bicubic(lq[None])
        sr, bicubic = (result[0, 0].clamp(0, 1).cpu().numpy() for result in results)
        scores = {"index_accuracy": (predicted == codes).float().mean().item()}
        for suffix, image in (("", sr), ("_bicubic", bicubic)):
            pair = [eight_bits(x) for x in (image, gt[0].numpy())]
            scores |= {f"{name}{suffix}": value for name, value in psnr_ssim(*pair).items()}
        key = section_key(stack.volume, stack.numbers[index])
        return SectionResult(key, lq[0].numpy(), bicubic, sr, gt[0].numpy(), scores)
