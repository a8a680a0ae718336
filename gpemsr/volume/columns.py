"""What the loop along z reads of an LR stack: rectangles of all its sections, and what stands in for damaged ones."""

from __future__ import annotations

import functools

import numpy as np
import torch

from gpemsr.data.section_sampling import to_tensor
from gpemsr.volume.section_loop import Sections
from gpemsr.volume.stack import LRStack
from gpemsr.volume.tiles import Span

REACH = 4  # sections; where a rectangle is constant for longer, there is no tissue


class Turned:
    """Sections turned by 180 degrees."""

    def __init__(self, sections: Sections) -> None:
        self.sections = sections

    def __len__(self) -> int:
        return len(self.sections)

    def __getitem__(self, z: int) -> torch.Tensor:
        """As those of ``sections``."""
        return self.sections[z].flip(-1, -2)


class Column:
    """Rectangles of all sections of a stack, of one size: what the loop along z reads; b of them at once.

    A damaged section gets the nearest earlier valid one, as in training, or at the start of the stack the nearest
    later one. Damaged are those that the user names, rectangles of which a part is not there, and rectangles of a
    single grey value, unless more than :data:`REACH` of these follow one another.

    Args:
        rectangles: (y, x) of each.

    Attributes:
        replaced: (number of the rectangle, z) -> the section that stands in for it.
    """

    def __init__(self, stack: LRStack, rectangles: list[tuple[Span, Span]]) -> None:
        self.stack, self.rectangles = stack, rectangles
        self.replaced: dict[tuple[int, int], int] = {}
        self._valid: dict[tuple[int, int], bool] = {}
        self._read = functools.lru_cache(2 * len(rectangles))(lambda number, z: stack.read(z, *rectangles[number]))

    def __len__(self) -> int:
        return self.stack.shape[0]

    def __getitem__(self, z: int) -> torch.Tensor:
        """(b, 1, h, w) in [0, 1]."""
        sections = [self._section(number, z) for number in range(len(self.rectangles))]
        return to_tensor(np.stack([self.stack.grey_range.to_unit(section) for section in sections]))

    def _section(self, number: int, z: int) -> np.ndarray:
        source = z if self._is_valid(number, z) else self._substitute(number, z)
        if source != z:
            self.replaced[number, z] = source
        return self._read(number, source)

    def _is_valid(self, number: int, z: int) -> bool:
        if (number, z) not in self._valid:
            section = self._read(number, z)
            is_whole = (z, *self.rectangles[number]) not in self.stack.torn
            is_known = z not in self.stack.missing and is_whole
            self._valid[number, z] = is_known and bool((section != section.flat[0]).any())
        return self._valid[number, z]

    def _substitute(self, number: int, z: int) -> int:
        is_named = z in self.stack.missing
        reach = len(self) if is_named else REACH
        low, high = max(-1, z - 1 - reach), min(len(self), z + 1 + reach)
        before = next((k for k in range(z - 1, low, -1) if self._is_valid(number, k)), low)
        after = next((k for k in range(z + 1, high) if self._is_valid(number, k)), high)
        torn = self.stack.torn.get((z, *self.rectangles[number]))
        found = [k for k in (before, after) if 0 <= k < len(self)]
        if torn and (not found or after - before - 1 > REACH):
            raise torn
        if not is_named and after - before - 1 > REACH:
            return z  # not damaged: there is no tissue
        return found[0] if found else z
