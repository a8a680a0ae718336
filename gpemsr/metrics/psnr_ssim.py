"""BasicSR's PSNR and SSIM of one section."""

from __future__ import annotations

import numpy as np

from gpemsr.compat import importable_basicsr

with importable_basicsr():
    from basicsr.metrics import calculate_psnr, calculate_ssim


def psnr_ssim(image: np.ndarray, gt: np.ndarray) -> dict[str, float]:
    """``psnr`` (dB) and ``ssim`` of two sections (y, x) uint8, without border crop."""
    return {
        "psnr": float(calculate_psnr(image, gt, crop_border=0)),
        "ssim": float(calculate_ssim(image[..., None], gt[..., None], crop_border=0)),
    }
