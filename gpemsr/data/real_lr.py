"""LR sections that a microscope made of the same field, in place of degraded HR ones, and how they lie on HR."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from gpemsr.data.degradations import degrade
from gpemsr.data.grey_values import GreyRange, choose_range
from gpemsr.data.survey import survey
from gpemsr.data.volumes.volume import Volume
from gpemsr.errors import InputError

MOST = 0.5  # LR pixels that a section may be shifted
ALIKE = 0.3  # correlation above which a shift can be measured
FINENESS = 20  # parts of an LR pixel that shifts are measured in
SAME = 0.01  # relative difference of voxel sizes
NAMED = 10  # sections in an error
OPTION = "--lr-range"  # of the LR stack's grey values, in messages


class Fit(NamedTuple):
    """How an LR section lies on the HR section, in LR pixels to the bottom and right, and how alike they are then."""

    section: int
    y: float
    x: float
    correlation: float


class RealLR:
    """The LR stack that belongs to an HR stack: as many sections, HR = scale x LR pixels.

    Args:
        choice: which grey values of the LR stack become 0 and 1, see :func:`~gpemsr.data.grey_values.choose_range`.

    Attributes:
        scale: HR over LR pixels along y and x.
        grey_range: of the LR stack, once :meth:`prepare` found it.
        fits: by section number, once :meth:`prepare` measured them.

    Raises:
        InputError: they do not belong together.
    """

    def __init__(self, hr: Volume, lr: Volume, choice: str | GreyRange | None = None) -> None:
        self.hr, self.lr, self.choice = hr, lr, choice
        self.scale = pair_scale(hr, lr)
        self.grey_range = GreyRange(0, 1)
        self.fits: dict[int, Fit] = {}

    def prepare(self, numbers: Collection[int], hr_range: GreyRange, y: slice, x: slice) -> None:
        """Choose the grey range, and measure how sections lie on each other.

        Args:
            numbers: section numbers of the HR stack.
            hr_range: which of its grey values are 0 and 1.
            y, x: HR pixels, multiples of the scale.

        Raises:
            InputError: a section is absent, or shifted too far.
        """
        within = self._within(y), self._within(x)
        offset = self.lr.numbers[0] - self.hr.numbers[0]
        found = survey(self.lr, [number + offset for number in numbers], *within)
        if found.absent:
            first = min(found.absent)
            left_out = " ".join(str(number - offset) for number in sorted(found.absent))
            raise InputError(
                f"{self.lr.source}: section {first} is missing or blank ({found.absent[first]}); "
                f"--missing-sections {left_out} (numbers of HR) leaves such sections out"
            )
        sections = sorted(numbers)[:: max(1, len(numbers) // 64)]
        self.grey_range = choose_range(
            self.choice,
            self.lr.dtype,
            (found.low, found.high),
            lambda: (self._present(number, *within) for number in sections),
            self.lr.source,
            OPTION,
        )
        self.grey_range.warn_if_unused(found.low, found.high, self.lr.source, OPTION)
        for number in sorted(numbers):
            hr = hr_range.to_unit(self.hr.present(number - self.hr.numbers[0])[y, x])
            shift = measure_shift(degrade(hr, self.scale, "area"), self.section(number, y, x))
            self.fits[number] = Fit(number, *shift)
        self._check_fits()

    def section(self, number: int, y: slice, x: slice) -> np.ndarray:
        """The LR section of HR section ``number`` under HR pixels y, x: float32 in [0, 1]."""
        return self.grey_range.to_unit(self._present(number, self._within(y), self._within(x)))

    def _check_fits(self) -> None:
        unlike = [f"{fit.section} ({fit.correlation:.2f})" for fit in self.fits.values() if fit.correlation < ALIKE]
        if unlike:
            raise InputError(
                f"{self.lr.source}: correlation with HR below {ALIKE}, section {_named(unlike)}; "
                "expected the same field; --missing-sections leaves sections out"
            )
        shifted = [fit for fit in self.fits.values() if max(abs(fit.y), abs(fit.x)) > MOST]
        if shifted:
            named = _named([f"{fit.section} ({fit.y:+.2f}, {fit.x:+.2f})" for fit in shifted])
            raise InputError(
                f"{self.lr.source}: shifted by more than {MOST} LR pixels (y, x), section {named}; "
                "register the stacks; --missing-sections leaves sections out"
            )

    def _present(self, number: int, y: slice, x: slice) -> np.ndarray:
        return self.lr.present(number - self.hr.numbers[0])[y, x]

    def _within(self, pixels: slice) -> slice:
        if pixels.start % self.scale:
            raise InputError(f"crop from {pixels.start}: expected a multiple of the scale {self.scale} with --lr")
        return slice(pixels.start // self.scale, pixels.stop // self.scale)


def _named(texts: list[str]) -> str:
    return ", ".join(texts[:NAMED]) + (f" and {len(texts) - NAMED} more" if len(texts) > NAMED else "")


def pair_scale(hr: Volume, lr: Volume) -> int:
    """HR over LR pixels along y and x.

    Raises:
        InputError: other than one whole number of 2 or more, other sections, or voxel sizes that say otherwise.
    """
    both = f"HR {hr.shape}, LR {lr.shape} voxels"
    if hr.shape[0] != lr.shape[0]:
        raise InputError(f"{lr.source}: {both}; expected the same number of sections")
    scale = hr.shape[1] // lr.shape[1]
    if scale < 2 or hr.shape[1:] != (scale * lr.shape[1], scale * lr.shape[2]):
        raise InputError(f"{lr.source}: {both}; expected HR = r x LR along y and x, r a whole number of 2 or more")
    if hr.voxel_size and lr.voxel_size:
        z, y, x = hr.voxel_size
        if not np.allclose(lr.voxel_size, (z, scale * y, scale * x), rtol=SAME):
            sizes = [" x ".join(f"{size:g}" for size in volume.voxel_size or ()) for volume in (hr, lr)]
            raise InputError(
                f"{lr.source}: voxels of {sizes[1]} nm; expected {scale} times HR's, {sizes[0]} nm, along y and x"
            )
    return scale


def measure_shift(reference: np.ndarray, moved: np.ndarray) -> tuple[float, float, float]:
    """How far ``moved`` is shifted to the bottom and right (y, x) in pixels, and the correlation without the shift.

    Args:
        reference, moved: (h, w) float32.
    """
    from scipy.ndimage import shift
    from skimage.filters import window
    from skimage.registration import phase_cross_correlation

    hann = window("hann", reference.shape)
    pair = [(image - image.mean()) * hann for image in (reference, moved)]
    back, *_ = phase_cross_correlation(*pair, upsample_factor=FINENESS, normalization=None)
    y, x = (0.0 - float(step) for step in back)
    margin = int(np.ceil(max(abs(y), abs(x)))) + 1
    inner = tuple(slice(margin, size - margin) for size in reference.shape)
    parts = [image[inner].ravel() for image in (reference, shift(moved, back, order=1, mode="nearest"))]
    if min(map(len, parts)) < 16 or min(part.std() for part in parts) == 0:
        return y, x, 0.0
    return y, x, float(np.corrcoef(parts[0], parts[1])[0, 1])
