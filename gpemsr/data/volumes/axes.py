"""Which axes of an array are z, y and x, and which ones are gone by one index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gpemsr.data.volumes.volume import Opening
from gpemsr.errors import InputError

_CHANNEL = {"c", "channel", "ch", "s"}
_TIME = {"t", "time"}
_FEW = 4  # an axis of at most this length may be one of channels, wherever it is


@dataclass(frozen=True)
class Axes:
    """Where the axes of a stack lie in an array."""

    z: int | None
    """Place of the z axis in the array; None if the array lacks it."""
    y: int
    """Place of the y axis."""
    x: int
    """Place of the x axis."""
    fixed: dict[int, int]
    """Place of every other axis -> the index taken."""

    @property
    def places(self) -> tuple[int, int, int]:
        """Of z, y and x; a missing z counts as 0."""
        return (0 if self.z is None else self.z), self.y, self.x

    def shape(self, shape: Sequence[int]) -> tuple[int, int, int]:
        """(z, y, x) of an array's shape."""
        return (1 if self.z is None else shape[self.z]), shape[self.y], shape[self.x]

    def index(self, z: slice, y: slice, x: slice) -> tuple[slice | int, ...]:
        """What takes a part of the array; :meth:`ordered` puts its axes into order."""
        chosen: dict[int | None, slice | int] = {self.z: z, self.y: y, self.x: x}
        chosen |= {place: index for place, index in self.fixed.items()}
        return tuple(chosen[place] for place in sorted(place for place in chosen if place is not None))

    def ordered(self, part):
        """A part taken by :meth:`index` as (z, y, x)."""
        kept = sorted(place for place in (self.z, self.y, self.x) if place is not None)
        part = part.transpose([kept.index(place) for place in (self.z, self.y, self.x) if place is not None])
        return part[None] if self.z is None else part


def named_axes(names: Sequence[str], shape: Sequence[int], opening: Opening, source: object) -> Axes:
    """The axes of an array by their names: ``z``, ``y``, ``x``, ``c`` or ``channel``, ``t`` or ``time``.

    Raises:
        InputError: no y or x, or an axis longer than 1 that is neither of space nor chosen.
    """
    names = [str(name).lower() for name in names]
    if len(names) != len(shape) or len(set(names)) != len(names) or not {"y", "x"} <= set(names):
        raise InputError(f"{source}: axes {', '.join(names)} of shape {tuple(shape)}; expected z, y, x among them")
    for option, wanted, known in (("--channel", opening.channel, _CHANNEL), ("--time", opening.time, _TIME)):
        if wanted and not known & set(names):
            raise InputError(f"{source}: {option} {wanted}; expected 0, as there are axes {', '.join(names)} only")
    fixed = {}
    for place, (name, size) in enumerate(zip(names, shape, strict=True)):
        if name in ("z", "y", "x"):
            continue
        option, wanted = ("--channel", opening.channel) if name in _CHANNEL else ("--time", opening.time)
        if size > 1 and name not in _CHANNEL | _TIME:
            raise InputError(f"{source}: axis {name} of length {size}; expected z, y, x, channel and time")
        if size > 1 and wanted is None:
            advice = "" if "z" in names else "; sections have to be saved with axes z, y, x"
            raise InputError(
                f"{source}: axis {name} of length {size} in {tuple(shape)}; {option} 0 to {size - 1} takes one{advice}"
            )
        if wanted is not None and not 0 <= wanted < size and name in _CHANNEL | _TIME:
            raise InputError(f"{source}: {option} {wanted}; expected 0 to {size - 1}")
        fixed[place] = wanted or 0
    return Axes(names.index("z") if "z" in names else None, names.index("y"), names.index("x"), fixed)


def unnamed_axes(shape: Sequence[int], opening: Opening, source: object) -> Axes:
    """Of an array without names: z, y, x, where axes of length 1, the last and then the first ones, are left out."""
    kept = list(range(len(shape)))
    for place in (len(shape) - 1, *range(len(shape) - 1)):
        if len(kept) > 3 and shape[place] == 1:
            kept.remove(place)
    channels = None
    between = [place for place in kept[1:-1] if len(kept) == 4 and shape[place] <= _FEW]
    if len(kept) == 4 and opening.channel is not None:
        first, second = sorted((kept[0], *between, kept[-1]), key=lambda place: shape[place])[:2]
        if shape[first] < shape[second] and not (between and shape[second] <= _FEW):
            channels = first
            kept.remove(first)
    several = 1 if channels is None else shape[channels]
    if len(kept) == 3 and not (0 <= (opening.channel or 0) < several and not opening.time):
        raise InputError(f"{source}: shape {tuple(shape)}; expected --channel 0 to {several - 1}, and no --time")
    if len(kept) != 3:
        raise InputError(
            f"{source}: shape {tuple(shape)}; expected (z, y, x); --channel takes one from the first or the last axis, "
            f"whichever is shorter, or from the only one of 2 to {_FEW}"
        )
    fixed = {place: 0 for place in range(len(shape)) if place not in kept}
    if channels is not None:
        fixed[channels] = opening.channel or 0
    return Axes(kept[0], kept[1], kept[2], fixed)
