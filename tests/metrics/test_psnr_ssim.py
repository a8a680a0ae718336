import numpy as np
import pytest

from gpemsr.metrics.psnr_ssim import psnr_ssim


def test_better_sections_score_higher():
    gt = np.random.default_rng(0).integers(0, 230, (32, 32), np.uint8)
    near, far = (psnr_ssim(gt + np.uint8(error), gt) for error in (2, 25))
    assert near["psnr"] > far["psnr"] and near["ssim"] > far["ssim"]
    assert psnr_ssim(gt, gt)["ssim"] == pytest.approx(1)
