"""Images as scores take them: 8 bits, BasicSR's PSNR and SSIM, and bicubic enlargement to compare with."""

from __future__ import annotations

import numpy as np

from gpemsr.compat import importable_basicsr

with importable_basicsr():
    from basicsr.metrics import calculate_psnr, calculate_ssim
    from basicsr.utils.matlab_functions import imresize


def upscale_bicubic(lq: np.ndarray, scale: int) -> np.ndarray:
    """MATLAB's bicubic enlargement of (h, w) in [0, 1] -> (scale*h, scale*w), clipped to [0, 1]."""
    return np.clip(imresize(np.ascontiguousarray(lq[..., None]), scale)[..., 0], 0, 1).astype(np.float32)


def score(image: np.ndarray, gt: np.ndarray) -> dict[str, float]:
    """BasicSR's PSNR (dB) and SSIM of two images (y, x) in [0, 1], rounded to 8 bits."""
    pair = [to_8_bit(x) for x in (image, gt)]
    return {
        "psnr": float(calculate_psnr(*pair, crop_border=0)),
        "ssim": float(calculate_ssim(*[x[..., None] for x in pair], crop_border=0)),
    }


def to_8_bit(image: np.ndarray) -> np.ndarray:
    """[0, 1] -> uint8, rounded as BasicSR does."""
    return np.round(image * 255).astype(np.uint8)
