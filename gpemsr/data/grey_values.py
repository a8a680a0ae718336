"""The one mapping between the grey values of a volume and [0, 1], in which networks, scores and pictures are."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from gpemsr.errors import InputError, InputWarning

PERCENTILES = (0.1, 99.9)
RANGE_HELP = (
    "grey values that become 0 and 1: full (of the data type; the default), observed (the smallest and the largest), "
    f"percentiles ({PERCENTILES[0]:g} and {PERCENTILES[1]:g} %%) or two numbers; int16 and float32 need it"
)


@dataclass(frozen=True)
class GreyRange:
    """Which grey values become 0 and 1; those in between linearly, those beyond are clipped.

    Raises:
        InputError: ``low`` and ``high`` are not finite and ascending.
    """

    low: float
    """Grey value that becomes 0."""
    high: float
    """Grey value that becomes 1."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise InputError(f"range {self}; expected two ascending grey values")

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"

    @classmethod
    def full(cls, dtype: np.dtype | type) -> GreyRange:
        """All values of a whole-number type."""
        limits = np.iinfo(dtype)
        return cls(limits.min, limits.max)

    def to_unit(self, values: np.ndarray) -> np.ndarray:
        """Grey values of any type -> float32 in [0, 1]."""
        unit = (values.astype(np.float32) - np.float32(self.low)) / np.float32(self.high - self.low)
        return np.clip(unit, 0, 1, out=unit)

    def from_unit(self, image: np.ndarray, dtype: np.dtype | type) -> np.ndarray:
        """[0, 1] -> grey values in ``dtype``, rounded if it is of whole numbers; the inverse of :meth:`to_unit`."""
        values = np.clip(image, 0, 1) * np.float32(self.high - self.low) + np.float32(self.low)
        return (values if np.dtype(dtype).kind == "f" else np.rint(values)).astype(dtype)

    def warn_if_unused(self, low: float, high: float, source: object, option: str = "--range") -> None:
        """Warn if grey values from ``low`` to ``high``, those of ``source``, use less than half of the range."""
        share = (high - low) / (self.high - self.low)
        if share < 0.5:
            warnings.warn(
                f"{source}: grey values {low:g} to {high:g} use {share:.0%} of the range {self}, so contrast is low "
                f"and PSNR too high; {option} observed, percentiles or {low:g} {high:g} maps them to [0, 1]",
                InputWarning,
                stacklevel=2,
            )


@dataclass(frozen=True)
class Stored:
    """Grey values as PNG keeps them, in 8 or 16 bits without sign: value = ``offset`` + ``step`` * what is stored."""

    dtype: np.dtype
    """Data type of what is stored."""
    offset: float
    """0 but for signed and floating-point values."""
    step: float
    """1 but for floating-point values, which are rounded to 65536 steps of the range."""
    grey_range: GreyRange
    """Range of what is stored."""

    @classmethod
    def of(cls, dtype: np.dtype, grey_range: GreyRange) -> Stored:
        """How values of a type with a range are stored."""
        if dtype.kind == "f":
            step = (grey_range.high - grey_range.low) / 65535
            return cls(np.dtype(np.uint16), grey_range.low, step, GreyRange(0, 65535))
        offset = np.iinfo(dtype).min
        unsigned = GreyRange(grey_range.low - offset, grey_range.high - offset)
        return cls(np.dtype(f"u{dtype.itemsize}"), offset, 1, unsigned)

    def store(self, values: np.ndarray) -> np.ndarray:
        """Grey values -> what is stored."""
        if values.dtype == self.dtype:
            return values
        steps = (values.astype(np.float64) - self.offset) / self.step
        return np.rint(steps).clip(0, np.iinfo(self.dtype).max).astype(self.dtype)


def parse_range(words: Sequence[str] | None, option: str = "--range") -> str | GreyRange | None:
    """The words after an option: a name of :data:`RANGE_HELP`, or a range. Raises :class:`InputError` for others."""
    if not words:
        return None
    if len(words) == 1 and words[0] in ("full", "observed", "percentiles"):
        return words[0]
    try:
        low, high = (float(word) for word in words)
    except ValueError:
        text = " ".join(words)
        raise InputError(f"{option} {text}: expected full, observed, percentiles or two numbers LOW HIGH") from None
    return GreyRange(low, high)


def choose_range(
    choice: str | GreyRange | None,
    dtype: np.dtype,
    observed: tuple[float, float] | Callable[[], tuple[float, float]],
    sample: Callable[[], Iterable[np.ndarray]],
    source: object,
    option: str = "--range",
) -> GreyRange:
    """The range of a volume.

    Args:
        choice: what :func:`parse_range` returns; None is ``full`` for uint8 and uint16 and is refused for others.
        observed: the smallest and the largest grey value, or what finds them.
        source: named in messages.

    Raises:
        InputError: a range is needed, or all grey values are one.
    """
    if isinstance(choice, GreyRange):
        return choice
    if choice in (None, "full"):
        if dtype.kind == "f" or (choice is None and dtype.kind != "u"):
            raise InputError(
                f"{source}: {dtype.name} voxels; expected uint8 or uint16, or {option} LOW HIGH (observed, "
                "percentiles) that says which values are black and white"
            )
        return GreyRange.full(dtype)
    if choice == "observed":
        low, high = observed() if callable(observed) else observed
    else:
        pixels = np.concatenate([section.ravel()[:: max(1, section.size >> 18)] for section in sample()])
        low, high = np.percentile(pixels, PERCENTILES)
    if not low < high:
        raise InputError(f"{source}: {option} {choice}: all grey values are {low:g}")
    return GreyRange(float(low), float(high))


def eight_bits(image: np.ndarray) -> np.ndarray:
    """[0, 1] -> uint8, as BasicSR's scores and pictures are."""
    return GreyRange(0, 255).from_unit(image, np.uint8)
