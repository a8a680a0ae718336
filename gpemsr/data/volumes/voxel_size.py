"""Voxel sizes as files spell them -> (z, y, x) in nm."""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gpemsr.errors import InputError, InputWarning

VoxelSize = tuple[float, float, float]
PLAUSIBLE = (0.1, 10_000)  # nm

_LENGTHS = {"m": 1e9, "cm": 1e7, "mm": 1e6, "um": 1e3, "nm": 1.0, "pm": 1e-3, "a": 0.1, "in": 2.54e7}
_WORDS = {
    "metre": "m", "centimetre": "cm", "millimetre": "mm", "micrometre": "um", "micron": "um", "nanometre": "nm",
    "picometre": "pm", "angstrom": "a", "ångström": "a", "ångstrom": "a", "å": "a", "inch": "in", "\\u00b5m": "um",
    "µ": "um", "u": "um", "mu": "um", "mum": "um",
}  # fmt: skip
_NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|nan|inf)\s*([^\s\d,;()\[\]{}'\"x×*]*)", re.IGNORECASE)


def nanometres(value: Any, unit: Any) -> float | None:
    """A length in nm; None if the value or its unit is absent or unknown, or the value is not a positive number."""
    factor = unit_length(unit)
    try:
        length = float(value or 0) * (factor or 0)
    except (TypeError, ValueError):
        return None
    return float(f"{length:.9g}") if math.isfinite(length) and length > 0 else None


def unit_length(unit: Any) -> float | None:
    """Nanometres of a unit in any common spelling (``nm``, ``Nanometers``, ``μm``, ``Å``); None if it is unknown."""
    word = _text(unit).strip().lower().replace("μ", "µ").replace("meter", "metre")
    for spelling in (word, word.removesuffix("s"), word.replace("µ", "u")):
        spelling = _WORDS.get(spelling, spelling)
        if spelling in _LENGTHS:
            return _LENGTHS[spelling]
    return None


def complete(sizes: Sequence[float | None]) -> VoxelSize | None:
    """(z, y, x) if all three lengths are known, else None."""
    z, y, x = sizes
    return None if z is None or y is None or x is None else (z, y, x)


def check_voxel_size(voxel_size: Sequence[Any], source: object) -> VoxelSize:
    """``voxel_size`` as three floats; raises :class:`InputError` unless they are finite and positive."""
    try:
        sizes = [float(size) for size in voxel_size]
    except (TypeError, ValueError):
        sizes = []
    if len(sizes) != 3 or not all(math.isfinite(size) and size > 0 for size in sizes):
        raise InputError(
            f"{source}: voxel size {voxel_size}; expected three positive lengths z, y, x in nm (--voxel-size)"
        )
    return sizes[0], sizes[1], sizes[2]


def warn_if_implausible(voxel_size: VoxelSize, source: object) -> None:
    """Warn of lengths that no electron microscope has."""
    if min(voxel_size) < PLAUSIBLE[0] or max(voxel_size) > PLAUSIBLE[1]:
        sizes = " x ".join(f"{size:g}" for size in voxel_size)
        warnings.warn(
            f"{source}: voxel size (z, y, x) {sizes} nm is implausible; --voxel-size Z Y X (nm) corrects it",
            InputWarning,
            stacklevel=3,
        )


def from_attributes(attributes: Mapping[str, Any], places: Sequence[int], source: object) -> VoxelSize | None:
    """The voxel size that the attributes of an HDF5 data set or of an array say, None if they have none.

    Known are COSEM's ``transform``, CREMI's ``resolution`` and funlib's ``voxel_size``, in the order of the axes and in
    nm unless ``units`` or ``unit`` says otherwise, Fiji's ``element_size_um`` (z, y, x) and N5's ``pixelResolution``
    (x, y, z).

    Args:
        places: of z, y and x among the axes.

    Raises:
        InputError: there is one that is not valid.
    """
    transform = attributes.get("transform")
    if isinstance(transform, Mapping) and {"x", "y", "z"} <= set(transform.get("axes", ())):
        at = [transform["axes"].index(axis) for axis in "zyx"]
        return complete([nanometres(transform["scale"][place], transform["units"][place]) for place in at])
    units = _units(attributes.get("units", attributes.get("unit")))
    for name, unit, order in (
        ("resolution", units, places),
        ("voxel_size", units, places),
        ("element_size_um", ["um"], (0, 1, 2)),
        ("pixelResolution", units, (2, 1, 0)),
    ):
        value = json_or_text(attributes.get(name))
        if isinstance(value, Mapping):
            unit = _units(value.get("unit") or unit)
            value = value.get("dimensions")
        found = _numbers(value)
        if not found:
            continue
        if len(found) > 3 and name == "element_size_um":  # of all axes
            order = places
        elif len(found) == 3 and max(order) > 2:  # of the space axes only
            order = [sorted(order).index(place) for place in order]
        try:
            rank = order if len(found) == len(unit) else [sorted(order).index(place) for place in order]
            sizes = [
                nanometres(found[place][0], found[place][1] or (unit[0] if len(unit) == 1 else unit[at]))
                for place, at in zip(order, rank, strict=True)
            ]
        except (IndexError, TypeError, KeyError):
            sizes = [None]
        if None in sizes:
            text = " ".join(_text(value).split())[:80]
            if unknown := [word for word in unit if unit_length(word) is None]:
                text += f" in unit {unknown[0]!r}"
            raise InputError(
                f"{source}: {name} is {text}; expected the voxel size, three positive lengths; --voxel-size gives it"
            )
        return complete(sizes)
    return None


def _units(value: Any) -> list[str]:
    """A unit or one for each axis, as text; nm without any."""
    value = json_or_text(value.tolist() if isinstance(value, np.ndarray | np.generic) else value)
    listed = value if isinstance(value, list | tuple) else [value]
    return [_text(item) for item in listed if item is not None and _text(item).strip()] or ["nm"]


def _numbers(value: Any) -> list[tuple[float, str]]:
    """Numbers and their units in an attribute: of a list, a text or a scalar."""
    if isinstance(value, str | bytes | np.bytes_):
        return [(float(number), unit) for number, unit in _NUMBER.findall(_text(value))]
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return []
    if isinstance(value, int | float | np.number):
        return [(float(str(value)), "")]  # float32 has digits that nobody wrote
    if not isinstance(value, Iterable):  # of HDF5: nothing, or a reference
        return [] if type(value).__name__ == "Empty" else [(math.nan, "")]
    return [number for item in value for number in (_numbers(item) or [(math.nan, "")])]


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def json_or_text(value: Any) -> Any:
    """An attribute that holds JSON as text, read; others as they are."""
    try:
        return json.loads(value) if isinstance(value, str | bytes) else value
    except ValueError:
        return value
