"""HR sections of one value, such as lost ones filled with black: they have no scores, as PSNR would be infinite."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import default_collate


def is_blank(section: Any) -> bool:
    """Whether an array or tensor has one value only."""
    return bool(section.min() == section.max())


def scored(results: Mapping[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], list[tuple[str, int]]]:
    """Scores (sections, metrics) by volume without the sections that have none: not finite, as of blank ones.

    Returns:
        The volumes with scores; volume and position of each section left out.
    """
    kept = {volume: rows.isfinite().all(dim=1) for volume, rows in results.items()}
    left_out = [(volume, int(i)) for volume, rows in kept.items() for i in torch.nonzero(~rows).ravel()]
    return {volume: rows[kept[volume]] for volume, rows in results.items() if kept[volume].any()}, left_out


def left_out_text(name: str, sections: Sequence[str], count: int) -> str:
    """A line on the sections left out, of ``count``."""
    listed = ", ".join(sections[:10]) + (" ..." if len(sections) > 10 else "")
    return f"{name}: {len(sections)} of {count} HR sections are blank and left out of the scores: {listed}"


class WithoutBlank:
    """A loader of sections, one a batch, that skips those whose ``gt`` is blank.

    Attributes:
        left_out: keys of what was skipped.
    """

    def __init__(self, loader: Any) -> None:
        self._loader, self.dataset = loader, loader.dataset
        self.left_out: list[str] = []

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self._kept(self._loader)

    def part(self, rank: int, processes: int) -> Iterator[dict[str, Any]]:
        """The items of a process: neighbours, the first ones of the first process."""
        total = len(self.dataset)
        own = range(rank * total // processes, (rank + 1) * total // processes)
        return self._kept(default_collate([self.dataset[index]]) for index in own)

    def _kept(self, items: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for item in items:
            if "gt" in item and is_blank(item["gt"]):
                self.left_out.append(item["key"][0])
            else:
                yield item
