"""HR section -> LR section: the degradations that a training pair is made with.

``bicubic``  MATLAB's antialiased bicubic, as BasicSR's ``imresize`` (the paper's protocol).
``area``     mean over each scale x scale block of pixels.
``em``       a fast, low-dose scan: Gaussian beam profile, one sample per LR pixel, Poisson shot noise of the
             electrons counted and Gaussian read noise of the detector.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any, Literal

import numpy as np

from gpemsr.errors import InputError

Kind = Literal["bicubic", "area", "em"]
KINDS: tuple[Kind, ...] = ("bicubic", "area", "em")
EM_DEFAULTS = {"dose": 50.0, "read_noise": 1.0, "blur": 0.5}


def degrade(
    section: np.ndarray,
    scale: int,
    kind: Kind,
    seed: int | tuple[int, ...] = 0,
    *,
    dose: float = EM_DEFAULTS["dose"],
    read_noise: float = EM_DEFAULTS["read_noise"],
    blur: float = EM_DEFAULTS["blur"],
) -> np.ndarray:
    """Make the LR section of an HR section.

    Args:
        section: float32 (h, w) in [0, 1]; h and w are multiples of ``scale`` (for ``bicubic`` also >= 2 * scale).
        scale: HR pixels per LR pixel, >= 1.
        kind: one of :data:`KINDS`.
        seed: non-negative integer or integers; fixes the noise of ``em`` and nothing else.
        dose: ``em``: electrons counted in one LR pixel of intensity 1.
        read_noise: ``em``: standard deviation of the read noise in electrons.
        blur: ``em``: standard deviation of the beam profile in LR pixels.

    Returns:
        float32 (h / scale, w / scale) in [0, 1].

    Raises:
        InputError: a size, kind or parameter that does not fit.
    """
    check_degradation(section.shape, scale, kind, dose=dose, read_noise=read_noise, blur=blur)
    section = np.asarray(section, np.float32)
    if kind == "bicubic":
        lr = _bicubic(section, scale) if scale > 1 else section
    elif kind == "area":
        height, width = section.shape
        lr = section.reshape(height // scale, scale, width // scale, scale).mean(axis=(1, 3))
    else:
        lr = _count_electrons(_blur_and_sample(section, scale, blur), dose, read_noise, seed)
    return np.clip(lr, 0, 1, dtype=np.float32)


def check_degradation(
    shape: tuple[int, ...],
    scale: int,
    kind: str,
    *,
    dose: float = EM_DEFAULTS["dose"],
    read_noise: float = EM_DEFAULTS["read_noise"],
    blur: float = EM_DEFAULTS["blur"],
) -> None:
    """Raise :class:`InputError` if :func:`degrade` cannot take a section of this ``shape`` with these parameters."""
    if kind not in KINDS:
        raise InputError(f"degradation {kind!r} is unknown; one of {', '.join(KINDS)} fits")
    if scale < 1:
        raise InputError(f"scale {scale} does not fit; a positive integer does")
    if len(shape) != 2 or shape[0] % scale or shape[1] % scale or min(shape) < scale:
        raise InputError(f"a section of shape {tuple(shape)} does not divide by scale {scale}")
    if kind == "bicubic" and scale > 1 and min(shape) < 2 * scale:
        raise InputError(f"a section of shape {tuple(shape)} is too small for bicubic x{scale}; {2 * scale} pixels fit")
    if not (np.isfinite([dose, read_noise, blur]).all() and dose > 0 and read_noise >= 0 and blur >= 0):
        raise InputError(
            f"dose {dose}, read noise {read_noise}, blur {blur} do not fit; dose > 0 and read noise, blur >= 0 do"
        )


def load(kind: Kind) -> None:
    """Import what a degradation needs, so that its first section takes no longer than the others."""
    if kind == "bicubic":
        _matlab_functions()


def _blur_and_sample(section: np.ndarray, scale: int, blur: float) -> np.ndarray:
    """Blur with a Gaussian of ``blur`` LR pixels and take the value at the centre of every LR pixel."""
    import cv2

    blurred = cv2.GaussianBlur(section, (0, 0), blur * scale, borderType=cv2.BORDER_REFLECT) if blur else section
    offsets = {(scale - 1) // 2, scale // 2}  # the centre lies on a pixel (odd scale) or between two (even)
    samples = [blurred[top::scale, left::scale] for top in offsets for left in offsets]
    return np.mean(samples, axis=0)


def _count_electrons(signal: np.ndarray, dose: float, read_noise: float, seed: int | tuple[int, ...]) -> np.ndarray:
    """Poisson-Gaussian noise: electrons ~ Poisson(dose * signal) + N(0, read_noise^2), scaled back by the dose."""
    generator = np.random.default_rng(seed)
    electrons = generator.poisson(dose * np.clip(signal, 0, None)).astype(np.float32)
    electrons += read_noise * generator.standard_normal(signal.shape, np.float32)
    return electrons / np.float32(dose)


def _bicubic(section: np.ndarray, scale: int) -> np.ndarray:
    """What BasicSR's ``imresize`` gives, by a sparse matrix for each axis in place of a loop over rows."""
    down, across = (_bicubic_weights(length, scale) for length in section.shape)
    return across.dot(down.dot(section).T).T


@functools.lru_cache(maxsize=64)
def _bicubic_weights(length: int, scale: int) -> Any:
    """BasicSR's weights of the pixels of an axis for each LR pixel, edges mirrored: sparse (length / scale, length)."""
    from scipy.sparse import csr_array

    calculate = _matlab_functions().calculate_weights_indices
    weights, indices, mirrored, _ = calculate(length, length // scale, 1 / scale, "cubic", 4, True)
    rows, taps = weights.shape
    columns = (indices[:, :1].numpy().astype(int) + np.arange(taps) - mirrored).ravel()
    columns = np.where(columns < 0, -1 - columns, np.where(columns < length, columns, 2 * length - 1 - columns))
    entries = (weights.numpy().astype(np.float32).ravel(), (np.repeat(np.arange(rows), taps), columns))
    return csr_array(entries, shape=(rows, length))


@functools.cache
def _matlab_functions() -> ModuleType:
    """BasicSR's resizing; the first call imports BasicSR, which takes seconds."""
    from gpemsr.compat import importable_basicsr

    with importable_basicsr():
        from basicsr.utils import matlab_functions
    return matlab_functions
