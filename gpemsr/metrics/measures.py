"""What a super-resolved section is measured by: likeness to the HR section, resolution, faithfulness to the LR section.

All are of 8-bit sections without border crop, so that all methods are measured on the same pixels.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torchvision

from gpemsr.data.degradations import REAL, Kind, degradation_of, degrade
from gpemsr.metrics.blank import is_blank
from gpemsr.metrics.frc import ring_correlation
from gpemsr.metrics.libraries import library
from gpemsr.metrics.psnr_ssim import psnr_ssim


@dataclass(frozen=True)
class Measure:
    """How a measure is shown in a table."""

    label: str
    unit: str
    higher_is_better: bool
    digits: int


MEASURES = {
    "psnr": Measure("PSNR", "dB", True, 2),
    "ssim": Measure("SSIM", "", True, 4),
    "ms_ssim": Measure("MS-SSIM", "", True, 4),
    "gmsd": Measure("GMSD", "", False, 4),
    "haarpsi": Measure("HaarPSI", "", True, 4),
    "lpips": Measure("LPIPS", "", False, 4),
    "frc_nm": Measure("FRC resolution", "nm", False, 1),
    "lr_rmse": Measure("LR consistency", "grey levels", False, 2),
}
SEGMENTATION = {  # of a segmentation of a stack, as gpemsr.segmentation and score_segmentation name them
    "voi_split": Measure("VOI split", "bits", False, 3),
    "voi_merge": Measure("VOI merge", "bits", False, 3),
    "voi": Measure("VOI sum", "bits", False, 3),
    "adapted_rand": Measure("Adapted Rand", "", False, 3),
    "membrane_f1": Measure("Membrane F1", "", True, 3),
}
SHORTEST_SIDE = {"ms_ssim": 161, "haarpsi": 16, "lpips": 31}
ALEXNET = torchvision.models.AlexNet_Weights.IMAGENET1K_V1.url


def missing_measures(shape: Sequence[int] | None = None, kind: Kind = "bicubic") -> dict[str, str]:
    """The measures that cannot be taken here, and why, in a line each.

    A section too small for a measure gets none rather than one with a smaller kernel or fewer scales, which would be
    another measure under the same name.

    Args:
        shape: HR pixels (y, x) of a section; without it only what the machine lacks is reported.
        kind: how LR was made, ``real`` if by the microscope.

    Raises:
        InputError: piq is not installed.
    """
    library("piq", "measuring sections")
    missing = {
        name: f"needs sections of at least {side} x {side} pixels, these have {shape[0]} x {shape[1]}"
        for name, side in SHORTEST_SIDE.items()
        if shape is not None and min(shape) < side
    }
    if kind == REAL:
        missing["lr_rmse"] = "the LR sections were not made from HR"
    elif degradation_of(kind).noisy:
        missing["lr_rmse"] = "the noise of the LR sections would outweigh it"
    weights = _alexnet_file()
    if find_spec("lpips") is None:
        missing["lpips"] = "needs the package lpips: pip install gpemsr[benchmark]"
    elif not weights.is_file():
        missing["lpips"] = (
            f"needs the weights of AlexNet, which are never downloaded: put {ALEXNET} at {_short(weights)}"
        )
    return missing


def measure_section(
    sr: np.ndarray, gt: np.ndarray, lq: np.ndarray, scale: int, pixel_size: float, kind: Kind = "bicubic"
) -> dict[str, float | None]:
    """All of :data:`MEASURES`, of one section.

    Args:
        sr, gt: super-resolved and HR, (y, x) uint8.
        lq: LR, (y / scale, x / scale) uint8.
        scale: HR pixels per LR pixel.
        pixel_size: nm of an HR pixel.
        kind: how LR was made.

    Returns:
        The figures; None for those of :func:`missing_measures`, for all if ``gt`` has one value only, and for what is
        infinite (PSNR of equal sections), for which JSON has no number.

    Raises:
        InputError: piq is not installed.
    """
    images = {"sr": sr, "gt": gt, "lq": lq}
    if sr.shape != gt.shape or gt.shape != tuple(scale * size for size in lq.shape):
        sizes = ", ".join(f"{name} {image.shape}" for name, image in images.items())
        raise ValueError(f"sections of {sizes} pixels: expected sr and gt of one size, {scale} times that of lq")
    if any(image.dtype != np.uint8 for image in images.values()):
        raise ValueError(f"sections of {', '.join(f'{image.dtype}' for image in images.values())}: expected uint8")
    if is_blank(gt):
        return dict.fromkeys(MEASURES)
    missing = missing_measures(gt.shape, kind)
    piq = library("piq", "measuring sections")
    x, y = (torch.from_numpy(image / 255)[None, None] for image in (sr, gt))
    scores = psnr_ssim(sr, gt)
    measured: dict[str, Callable[[], float]] = {
        "psnr": lambda: scores["psnr"],
        "ssim": lambda: scores["ssim"],
        "ms_ssim": lambda: piq.multi_scale_ssim(x, y),
        "gmsd": lambda: piq.gmsd(x, y),
        "haarpsi": lambda: piq.haarpsi(x, y),
        "lpips": lambda: _lpips(x, y),
        "frc_nm": lambda: ring_correlation(sr, gt, pixel_size).resolution,
        "lr_rmse": lambda: _lr_rmse(sr, lq, scale, kind),
    }
    figures = {name: None if name in missing else float(measured[name]()) for name in MEASURES}
    return {name: None if value is None or math.isinf(value) else value for name, value in figures.items()}


def _lr_rmse(sr: np.ndarray, lq: np.ndarray, scale: int, kind: Kind) -> float:
    """Root mean square difference in grey levels between ``lq`` and the LR section made from ``sr`` in the same way."""
    again = np.round(degrade(sr / np.float32(255), scale, kind) * 255)
    return float(np.sqrt(np.mean((again - lq.astype(float)) ** 2)))


def _alexnet_file() -> Path:
    """Where torch looks for AlexNet's weights before it downloads them."""
    return Path(torch.hub.get_dir(), "checkpoints", Path(ALEXNET).name)


def _short(path: Path) -> str:
    """A path below the home folder as ``~/...``: a report is read on other machines too."""
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)


@torch.no_grad()
def _lpips(x: torch.Tensor, y: torch.Tensor) -> float:
    """LPIPS of two grey images (1, 1, h, w) in [0, 1]."""
    x, y = (image.float().expand(-1, 3, -1, -1) for image in (x, y))
    return _lpips_network()(x, y, normalize=True).item()


@functools.cache
def _lpips_network() -> torch.nn.Module:
    import lpips

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it calls torchvision as before version 0.13
        return lpips.LPIPS(net="alex", verbose=False)
