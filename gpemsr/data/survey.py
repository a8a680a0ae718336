"""What a first pass over the sections of a job finds, before anything is written."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from tqdm import tqdm

from gpemsr.data.volumes.volume import AbsentError, Volume, absent_error
from gpemsr.errors import InputError


@dataclass
class Survey:
    """Of the sections of a job, cropped."""

    low: float = math.inf
    """The smallest grey value."""
    high: float = -math.inf
    """The largest one."""
    absent: dict[int, str] = field(default_factory=dict)
    """Number of a section that is not there, or of one value -> why."""
    blank: list[int] = field(default_factory=list)
    """Numbers of those of one value that ``keep`` keeps."""


def survey(volume: Volume, numbers: Sequence[int], y: slice, x: slice, progress: bool = False) -> Survey:
    """Read the sections ``numbers`` of a volume once.

    Raises:
        InputError: a damaged section; sections that are absent, unless the volume was opened to replace or keep them.
    """
    found, keep = Survey(), volume.on_missing == "keep"
    for number in tqdm(numbers, unit="section", desc="read", leave=False, disable=not progress):
        try:
            section = volume.present(number - volume.numbers[0])[y, x]
        except AbsentError as error:
            found.absent[number] = error.reason
            continue
        low, high = section.min().item(), section.max().item()
        if low == high and section.size > 1 and not keep:
            found.absent[number] = f"the part of it taken is all {low:g}"
            continue
        if low == high:
            found.blank.append(number)
        found.low, found.high = min(found.low, low), max(found.high, high)
    if found.absent and volume.on_missing == "refuse":
        raise absent_error(volume.source, found.absent)
    if found.low > found.high:
        raise InputError(f"{volume.source}: none of the chosen sections exists")
    return found


def valid_section(volume: Volume, number: int, first: int, missing: Collection[int], read: Collection[int]) -> int:
    """The section that stands for ``number``: itself, or the nearest earlier valid one.

    Args:
        first: the earliest that may stand in.
        missing: those known not to be valid.
        read: the other ones that were read.

    Raises:
        InputError: there is none.
    """
    source = number
    while source in missing or (source not in read and not _is_there(volume, source)):
        source -= 1
        if source < first:
            raise InputError(
                f"{volume.source}: section {number} is missing and no valid one from {first} on comes before it; "
                f"let the crop or split start after it"
            )
    return source


def _is_there(volume: Volume, number: int) -> bool:
    try:
        volume.present(number - volume.numbers[0])
    except AbsentError:
        return False
    return True
