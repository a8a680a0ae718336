"""Parameters of the degradation ``em`` from the same field scanned slowly and fast."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar, nnls
from scipy.signal import periodogram

from gpemsr.data.degradations import block_means, blur_and_sample, degrade
from gpemsr.errors import InputError

SHOT_SHARE = 0.01  # of the noise, where none grows with the signal


@dataclass(frozen=True)
class Residual:
    """What a fast scan differs by from the slow one, both at LR resolution and in the same grey values."""

    image: np.ndarray
    """(n, y, x), grey values of which 1 is full intensity."""

    @property
    def deviation(self) -> float:
        """Standard deviation."""
        return float(self.image.std())

    def correlation(self, axis: int) -> float:
        """Of neighbouring pixels along x (2) or y (1)."""
        centred = np.moveaxis(self.image - self.image.mean(), axis, -1)
        return float((centred[..., 1:] * centred[..., :-1]).mean() / centred.var())

    def spectrum(self) -> tuple[np.ndarray, np.ndarray]:
        """Cycles per LR pixel along the scan, and the power there."""
        frequencies, power = periodogram(self.image, axis=2)
        return frequencies[1:], power.mean(axis=(0, 1))[1:]


@dataclass(frozen=True)
class Fit:
    """What was fitted, and how well it imitates the fast scan."""

    parameters: dict[str, float]
    """Those of ``em``."""
    shift: tuple[float, float]
    """(y, x) in HR pixels that the fast scan was moved by."""
    real: Residual
    """Residual of the fast scan."""
    simulated: Residual
    """Residual of ``em`` with the parameters."""


def fit_em(slow: np.ndarray, fast: np.ndarray, scale: int) -> Fit:
    """Fit ``em`` to pairs of sections.

    Args:
        slow: (n, y, x) float32 in [0, 1], the HR sections.
        fast: the same field: of the same size, and then averaged over ``scale`` pixels, or smaller by ``scale``.

    Raises:
        InputError: sizes that do not belong together, or sections too small.
    """
    slow, lr, shift = _registered(slow, fast, scale)
    mean = block_means(slow, scale)
    gain, offset = np.polyfit(mean.ravel(), lr.ravel(), 1)
    if gain <= 0:
        raise InputError(
            f"the fast sections do not show the same field as the slow ones (gain {gain:.2f}; expected more than 0)"
        )
    real, blur = Residual(lr - gain * mean - offset), _blur(slow, lr, scale)
    sampled = np.stack([blur_and_sample(section, scale, blur) for section in slow])
    parameters = {
        **_noise(real, Residual(gain * (sampled - mean)), gain * mean + offset),
        "blur": blur,
        "gain": float(gain),
        "offset": float(offset),
    }
    parameters = {name: float(f"{value:.4g}") for name, value in parameters.items()}
    made = np.stack([degrade(section, scale, "em", (0, i), **parameters) for i, section in enumerate(slow)])
    return Fit(parameters, shift, real, Residual(made - gain * mean - offset))


def _registered(slow: np.ndarray, fast: np.ndarray, scale: int) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """Slow sections, LR sections of the same field, and the shift in HR pixels, the median over the sections."""
    from scipy.ndimage import shift as shifted
    from skimage.registration import phase_cross_correlation

    same = slow.shape == fast.shape
    if not same and (len(slow), *(size * scale for size in fast.shape[1:])) != slow.shape:
        raise InputError(f"slow {slow.shape}, fast {fast.shape}: expected the same size, or slow = {scale} x fast")
    step = 1 if same else scale
    reference = slow if same else block_means(slow, scale)
    shifts = [
        phase_cross_correlation(a, b, upsample_factor=20, normalization=None)[0]
        for a, b in zip(reference, fast, strict=True)
    ]
    y, x = (float(value) for value in np.median(shifts, axis=0))
    moved = fast
    if y or x:
        moved = np.stack([shifted(section, (y, x), order=1, mode="nearest") for section in fast])
    margin = int(np.ceil(max(abs(y), abs(x)))) * step  # HR pixels without a counterpart
    first = -(-margin // scale) * scale
    border = first // step
    height, width = ((size - 2 * border) * step // scale for size in fast.shape[1:])
    if min(height, width) < 16:
        raise InputError(f"fast {fast.shape}, moved by ({y:g}, {x:g}): expected 16 LR pixels or more at scale {scale}")
    lr = moved[:, border:, border:]
    lr = block_means(lr[:, : height * scale, : width * scale], scale) if same else lr[:, :height, :width]
    return slow[:, first : first + height * scale, first : first + width * scale], lr, (y * step, x * step)


def _blur(slow: np.ndarray, lr: np.ndarray, scale: int) -> float:
    """The beam whose LR sections are the most similar."""

    def unlike(blur: float) -> float:
        made = np.stack([blur_and_sample(section, scale, blur) for section in slow])
        return -float(np.corrcoef(made.ravel(), lr.ravel())[0, 1])

    return float(minimize_scalar(unlike, bounds=(0.1, 2), method="bounded", options={"xatol": 0.01}).x)


def _noise(real: Residual, sampling: Residual, signal: np.ndarray) -> dict[str, float]:
    """Dose, read noise and correlations of the noise that makes up the ``real`` residual with that of sampling.

    The variance is taken to be signal / dose + (read_noise / dose)^2.
    """
    edges = np.quantile(signal, np.linspace(0, 1, 17))
    places = np.digitize(signal.ravel(), edges[1:-1])
    filled = [place for place in range(16) if (places == place).any()]
    levels = np.array([signal.ravel()[places == place].mean() for place in filled])
    variances = np.array([real.image.ravel()[places == place].var() for place in filled])
    (slope, _), _ = nnls(np.stack([levels, np.ones_like(levels)], axis=1), variances)
    whole, level = real.deviation**2, float(signal.mean())
    total = max(whole - sampling.deviation**2, whole / 4)
    shot = min(max(slope * level, SHOT_SHARE * total), total)
    lags = {
        name: (whole * real.correlation(axis) - sampling.deviation**2 * sampling.correlation(axis)) / total
        for name, axis in (("correlation", 2), ("line_correlation", 1))
    }
    dose = level / shot
    limited = {name: float(np.clip(lag, 0, 0.9)) for name, lag in lags.items()}
    return {"dose": dose, "read_noise": dose * (total - shot) ** 0.5, **limited}


def draw(fit: Fit, path: Path) -> None:
    """Residuals of the real and the simulated fast scan side by side, and their spectra along the scan."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    limit = 3 * fit.real.deviation
    for axes, residual, title in ((left, fit.real, "fast - slow"), (middle, fit.simulated, "em - slow")):
        axes.imshow(residual.image[0], cmap="gray", vmin=-limit, vmax=limit)
        axes.set(title=f"{title}: {residual.deviation:.4f}", xticks=[], yticks=[])
        right.loglog(*residual.spectrum(), label=title)
    right.set(xlabel="cycles per LR pixel, along the scan", ylabel="power", title="Spectra")
    right.legend(frameon=False)
    figure.savefig(path, dpi=150, format="png")
