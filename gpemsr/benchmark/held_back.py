"""Super-resolving the sections held back from training, and scoring them against the HR sections."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from gpemsr.archs.baselines_arch import Bicubic
from gpemsr.archs.gpemsr_arch import GPEMSR
from gpemsr.archs.precision import Precision, in_precision
from gpemsr.data.degradations import Kind
from gpemsr.data.grey_values import eight_bits
from gpemsr.data.lmdb_files import section_key
from gpemsr.data.section_window_test_dataset import SectionWindowTestDataset
from gpemsr.metrics.blank import is_blank
from gpemsr.metrics.codebook_usage import CodebookUsage
from gpemsr.metrics.psnr_ssim import psnr_ssim
from gpemsr.volume.consistent import consistent
from gpemsr.volume.section_loop import encoded_windows


@dataclass
class SectionResult:
    """One held-back section; images are float32 (y, x) in [0, 1], scores are of 8-bit images without border crop.

    Attributes:
        key: ``<volume>/<section:08d>``.
        lq, bicubic, sr, gt: LR, bicubic interpolation, GPEMSR, HR.
        scores: ``psnr_bicubic``, ``ssim_bicubic``, ``psnr``, ``ssim`` and ``index_accuracy`` (share of the prior's
            codes that are those of the HR section); NaN if the HR section has one value only.
    """

    key: str
    lq: np.ndarray
    bicubic: np.ndarray
    sr: np.ndarray
    gt: np.ndarray
    scores: dict[str, float]


@torch.no_grad()
def held_back_sections(
    net: GPEMSR,
    dataset: SectionWindowTestDataset,
    usage: CodebookUsage,
    precision: Precision = "fp32",
    consistent_with: Kind | None = None,
) -> Iterator[SectionResult]:
    """Each section of a test data set, super-resolved and scored.

    Args:
        net: the trained network in eval mode, with its stage I encoder (``perceptual: vqgan``) for the codes.
        usage: counts the codes that stage I gives the HR sections; on the network's device.
        consistent_with: how LR was made, to make the images consistent with it; None to leave them.
    """
    bicubic, device = Bicubic(net.scale), usage.counts.device
    network = in_precision(net, precision, device)
    for stack in dataset.stacks.values():
        for index, window in enumerate(encoded_windows(network, stack, device=device)):
            lq, gt = stack[index], stack.gt(index)
            assert gt is not None
            codes = net.prior.targets(gt[None].to(device))
            predicted = window.codes[:, net.centre, : codes.shape[-2], : codes.shape[-1]]  # without padding
            usage.update(codes)
            results = (network.reconstruct(window), bicubic(lq[None]))
            sr, interpolated = (result[0, 0].clamp(0, 1).cpu().numpy() for result in results)
            if consistent_with:
                sr = consistent(sr, lq[0].numpy(), net.scale, consistent_with)
            scores = {"index_accuracy": (predicted == codes).float().mean().item()}
            for suffix, image in (("", sr), ("_bicubic", interpolated)):
                found = psnr_ssim(eight_bits(image), eight_bits(gt[0].numpy()))
                scores |= {f"{name}{suffix}": math.nan if is_blank(gt) else value for name, value in found.items()}
            key = section_key(stack.volume, stack.numbers[index])
            yield SectionResult(key, lq[0].numpy(), interpolated, sr, gt[0].numpy(), scores)
