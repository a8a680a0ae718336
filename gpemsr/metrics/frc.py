"""Fourier ring correlation of a super-resolved section with the HR section, and the resolution that follows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft
from scipy.signal import windows

THRESHOLD = 1 / 7
TAPER = 1 / 8  # of each side, at both ends


@dataclass(frozen=True)
class RingCorrelation:
    """How far two sections agree at each spatial frequency.

    Attributes:
        frequency: (k,) cycles per nm (per pixel where ``pixel_size`` is 1), increasing; from one cycle over the shorter
            side of the sections, in equal steps, up to the Nyquist limit.
        correlation: (k,) in [-1, 1]; 0 where one of the sections has nothing at that frequency.
        pixel_size: nm.
    """

    frequency: np.ndarray
    correlation: np.ndarray
    pixel_size: float

    @property
    def resolution(self) -> float:
        """The finest detail in nm that the sections share, by the 1/7 criterion.

        It is the inverse of the frequency where the curve first falls below 1/7, linearly interpolated: the Nyquist
        limit of two pixels if it never does, the shorter side of the sections if it is below from the start.
        """
        below = np.flatnonzero(self.correlation < THRESHOLD)
        if not len(below):
            return 2 * self.pixel_size
        last = below[0]
        if last == 0:
            return float(1 / self.frequency[0])
        around = slice(last - 1, last + 1)
        return float(1 / np.interp(-THRESHOLD, -self.correlation[around], self.frequency[around]))


def ring_correlation(image: np.ndarray, reference: np.ndarray, pixel_size: float = 1.0) -> RingCorrelation:
    """Correlate two sections over rings of their Fourier transforms, as wide as one cycle over the shorter side.

    The mean is subtracted and the sections are tapered to zero over an eighth at each border (Tukey), because a
    section is not periodic.

    Args:
        image, reference: (y, x) of one size, any range; contrast and brightness do not matter.
        pixel_size: nm.
    """
    if image.shape != reference.shape or image.ndim != 2 or min(image.shape) < 2:
        raise ValueError(f"sections of {image.shape} and {reference.shape} pixels: expected two of one size (y, x)")
    height, width = image.shape
    window = np.outer(*(windows.tukey(size, 2 * TAPER, sym=False) for size in (height, width)))
    a, b = (fft.fft2((x - x.mean(dtype=np.float64)) * window) for x in (image, reference))
    side = min(height, width)
    radius = np.hypot(fft.fftfreq(height)[:, None], fft.fftfreq(width))
    ring = np.rint(radius * side).astype(int).ravel()

    def over_rings(values: np.ndarray) -> np.ndarray:
        return np.bincount(ring, values.ravel())[1 : side // 2 + 1]

    shared = over_rings((a * b.conj()).real)
    power = np.sqrt(over_rings(np.abs(a) ** 2) * over_rings(np.abs(b) ** 2))
    correlation = np.divide(shared, power, out=np.zeros_like(shared), where=power > 0)
    return RingCorrelation(np.arange(1, side // 2 + 1) / (side * pixel_size), correlation, pixel_size)
