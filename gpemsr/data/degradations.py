"""HR section -> LR section: the registry of the degradations that a training pair is made with.

The command ``gpemsr-lmdb``, the option ``degradation`` of the data sets and the benchmark read :data:`DEGRADATIONS`. A
new degradation is one function and one entry of this module.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gpemsr.errors import InputError

Kind = str  # a key of DEGRADATIONS
LINEAR = ("bicubic", "area")  # a matrix for each axis
REAL = "real"  # what LMDBs record in place of a degradation where LR is the microscope's


@dataclass(frozen=True)
class Parameter:
    """A number that a degradation takes."""

    default: float
    """Its value where none is given."""
    help: str
    """Its meaning and unit, in a few words."""
    positive: bool = False
    """Whether 0 is refused."""
    low: float = 0
    """The least it may be."""
    high: float = math.inf
    """The most it may be."""


@dataclass(frozen=True)
class Degradation:
    """How LR sections are made from HR sections.

    Attributes:
        function: ``(section, scale, seed, **parameters)`` -> LR section, as :func:`degrade` but not clipped.
        help: what it is, in a few words.
        parameters: by name.
        smallest: sides of the smallest LR section, in LR pixels, where the scale is above 1.
        noisy: whether the seed decides on the values.
        context: ``(**parameters)`` -> LR pixels around a crop that decide on its values; by default twice bicubic's 2.
    """

    function: Callable[..., np.ndarray]
    help: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    smallest: int = 1
    noisy: bool = False
    context: Callable[..., int] = lambda **_: 4


def degradation_of(kind: Kind) -> Degradation:
    """The degradation of this name. Raises :class:`InputError` if there is none."""
    if kind not in DEGRADATIONS:
        raise InputError(f"degradation {kind!r} is unknown; expected one of {', '.join(DEGRADATIONS)}")
    return DEGRADATIONS[kind]


def complete_parameters(kind: Kind, given: Mapping[str, Any]) -> dict[str, float]:
    """All parameters of a degradation: those given, checked, and the defaults of the others.

    Raises:
        InputError: an unknown kind, a parameter that it does not have, or a value out of range.
    """
    known = degradation_of(kind).parameters
    for name, value in given.items():
        if name not in known:
            raise InputError(f"{name}={value}: degradation {kind} takes {', '.join(known) or 'no parameters'}")
        parameter = known[name]
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not number or not parameter.low <= value <= parameter.high or (parameter.positive and value == 0):
            least = f"{'>' if parameter.positive else '>='} {parameter.low:g}"
            most = "" if math.isinf(parameter.high) else f" and <= {parameter.high:g}"
            raise InputError(f"{name}={value}: expected a number {least}{most}")
    return {name: given.get(name, parameter.default) for name, parameter in known.items()}


def degrade(
    section: np.ndarray, scale: int, kind: Kind, seed: int | tuple[int, ...] = 0, **parameters: float
) -> np.ndarray:
    """Make the LR section of an HR section.

    Args:
        section: float32 (h, w) in [0, 1]; h and w are multiples of ``scale`` (for ``bicubic`` also >= 2 * scale).
        scale: HR pixels per LR pixel, >= 1.
        kind: one of :data:`DEGRADATIONS`.
        seed: non-negative integer or integers; fixes the noise and nothing else.
        parameters: of the degradation, see :data:`DEGRADATIONS`.

    Returns:
        float32 (h / scale, w / scale) in [0, 1].

    Raises:
        InputError: an unknown kind or parameter, or a size or value out of range.
    """
    check_degradation(section.shape, scale, kind, **parameters)
    complete = complete_parameters(kind, parameters)
    lr = DEGRADATIONS[kind].function(np.asarray(section, np.float32), scale, seed, **complete)
    return np.clip(lr, 0, 1, dtype=np.float32)


def check_degradation(shape: tuple[int, ...], scale: int, kind: Kind, **parameters: float) -> None:
    """Raise :class:`InputError` if :func:`degrade` cannot take a section of this ``shape`` with these parameters."""
    complete_parameters(kind, parameters)
    if scale < 1:
        raise InputError(f"scale {scale}: expected a positive integer")
    if len(shape) != 2 or shape[0] % scale or shape[1] % scale or min(shape) < scale:
        raise InputError(f"a section of shape {tuple(shape)} does not divide by scale {scale}")
    least = DEGRADATIONS[kind].smallest * scale
    if scale > 1 and min(shape) < least:
        raise InputError(f"a section of shape {tuple(shape)} is too small for {kind} x{scale}; expected >= {least}")


def block_means(image: np.ndarray, scale: int) -> np.ndarray:
    """(..., r*h, r*w) -> (..., h, w), the mean over the HR pixels under each LR pixel."""
    height, width = (length // scale for length in image.shape[-2:])
    return image.reshape(*image.shape[:-2], height, scale, width, scale).mean(axis=(-3, -1))


def _area(section: np.ndarray, scale: int, seed: int | tuple[int, ...]) -> np.ndarray:
    return block_means(section, scale)


def _em(
    section: np.ndarray,
    scale: int,
    seed: int | tuple[int, ...],
    dose: float,
    read_noise: float,
    blur: float,
    correlation: float,
    line_correlation: float,
    gain: float,
    offset: float,
) -> np.ndarray:
    signal = np.float32(gain) * blur_and_sample(section, scale, blur) + np.float32(offset)
    noise = _count_electrons(signal, dose, read_noise, seed) - signal
    for axis, lag_1 in ((1, correlation), (0, line_correlation)):
        if lag_1:
            noise = _correlated(noise, lag_1, axis)
    return signal + noise


def _correlated(noise: np.ndarray, lag_1: float, axis: int) -> np.ndarray:
    """White noise with a correlation of ``lag_1`` ** distance along an axis, of the same variance."""
    from scipy.signal import lfilter

    fresh = math.sqrt(1 - lag_1**2)
    noise = np.moveaxis(noise, axis, -1) * np.float32(fresh)
    noise[..., 0] /= np.float32(fresh)  # nothing comes before the first pixel
    return np.moveaxis(lfilter([1], [1, -lag_1], noise), -1, axis).astype(np.float32)


def blur_and_sample(section: np.ndarray, scale: int, blur: float) -> np.ndarray:
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


def _bicubic(section: np.ndarray, scale: int, seed: int | tuple[int, ...]) -> np.ndarray:
    """What BasicSR's ``imresize`` gives, by a sparse matrix for each axis instead of a loop over rows."""
    return along_axes("bicubic", section, scale)


def along_axes(kind: Kind, image: np.ndarray, scale: int) -> np.ndarray:
    """An image (r*h, r*w) by :func:`axis_weights` along both axes: (h, w), not clipped."""
    down, across = (axis_weights(kind, length, scale) for length in image.shape)
    return across.dot(down.dot(image).T).T


@functools.lru_cache(maxsize=64)
def axis_weights(kind: Kind, length: int, scale: int) -> Any:
    """Weights of the pixels of an axis for each LR pixel, sparse (length / scale, length), of one of :data:`LINEAR`.

    Those of ``bicubic`` are BasicSR's, edges mirrored; the first call imports BasicSR, which takes seconds.
    """
    from scipy.sparse import csr_array, eye_array, kron

    if kind == "area" or scale == 1:
        return kron(eye_array(length // scale), np.full((1, scale), 1 / scale), "csr").astype(np.float32)
    from gpemsr.compat import importable_basicsr

    with importable_basicsr():
        from basicsr.utils.matlab_functions import calculate_weights_indices
    weights, indices, mirrored, _ = calculate_weights_indices(length, length // scale, 1 / scale, "cubic", 4, True)
    rows, taps = weights.shape
    columns = (indices[:, :1].numpy().astype(int) + np.arange(taps) - mirrored).ravel()
    columns = np.where(columns < 0, -1 - columns, np.where(columns < length, columns, 2 * length - 1 - columns))
    entries = (weights.numpy().astype(np.float32).ravel(), (np.repeat(np.arange(rows), taps), columns))
    return csr_array(entries, shape=(rows, length))


DEGRADATIONS: dict[Kind, Degradation] = {
    "bicubic": Degradation(
        _bicubic, "MATLAB's antialiased bicubic, as BasicSR's imresize (the paper's protocol)", smallest=2
    ),
    "area": Degradation(_area, "mean over the HR pixels under each LR pixel"),
    "em": Degradation(
        _em,
        "a fast, low-dose scan: Gaussian beam, one sample per LR pixel, shot noise of the electrons, read noise, both "
        "correlated along the scan",
        {
            "dose": Parameter(50.0, "electrons per LR pixel of full intensity", positive=True),
            "read_noise": Parameter(1.0, "standard deviation of the read noise in electrons"),
            "blur": Parameter(0.5, "standard deviation of the beam in LR pixels"),
            "correlation": Parameter(0.0, "of the noise of neighbouring pixels of a scan line (x)", high=0.99),
            "line_correlation": Parameter(0.0, "of the noise of neighbouring scan lines (y)", high=0.99),
            "gain": Parameter(1.0, "LR contrast per HR contrast", positive=True),
            "offset": Parameter(0.0, "added to the grey values, which are 0 to 1", low=-1, high=1),
        },
        noisy=True,
        context=lambda blur, **_: max(4, math.ceil(4 * blur) + 1),  # where the blur is cut off
    ),
}
