"""The LR stack that is super-resolved: a region of a volume, and its mask."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

import numpy as np

from gpemsr.data.grey_values import GreyRange
from gpemsr.data.volumes.ids import open_ids
from gpemsr.data.volumes.volume import AbsentError, Volume
from gpemsr.errors import InputError
from gpemsr.volume.tiles import Block, Grid, Span

SAMPLE = 256  # pixels along y and x
Region = tuple[Span, Span, Span]


class LRStack:
    """A region of a volume, read rectangle by rectangle.

    Args:
        volume: the LR volume; what is not there is read as 0 (``on_missing="keep"``).
        strict: the same, opened to say what is not there (``on_missing="replace"``); None to take that as it is read.
        grey_range: which grey values become 0 and 1.
        region: z, y, x of the part that is super-resolved.
        missing: source numbers of sections known to be damaged.
        mask: a volume of whole numbers over all of ``volume``, not 0 where there is tissue; it may be coarser.

    Attributes:
        shape: (z, y, x) of the region.
        torn: rectangles (z, y, x) of which a part is not there, and why.
    """

    def __init__(
        self,
        volume: Volume,
        grey_range: GreyRange,
        region: Region,
        missing: Collection[int] = (),
        mask: Path | None = None,
        strict: Volume | None = None,
    ) -> None:
        self.volume, self.grey_range, self.region, self.strict = volume, grey_range, region, strict
        self.torn: dict[tuple[int, Span, Span], AbsentError] = {}
        z, y, x = (stop - start for start, stop in region)
        self.shape = (z, y, x)
        numbers = {number: index - region[0][0] for index, number in enumerate(volume.numbers)}
        for number in missing:
            if number not in numbers:
                raise InputError(f"missing section {number}: the volume has {volume.numbers[0]}-{volume.numbers[-1]}")
        self.missing = {numbers[number] for number in missing}
        self.mask = None if mask is None else open_ids(mask, None)
        if self.mask is not None and any(a > b for a, b in zip(self.mask.shape, volume.shape, strict=True)):
            raise InputError(f"{mask}: {self.mask.shape} voxels; expected {volume.shape}, the volume's, or fewer")

    def read(self, z: int, y: Span, x: Span) -> np.ndarray:
        """A rectangle of section ``z`` as it is stored."""
        (z0, _), (y0, _), (x0, _) = self.region
        place = z0 + z, slice(y0 + y[0], y0 + y[1]), slice(x0 + x[0], x0 + x[1])
        if self.strict is None:
            return self.volume.region(*place)
        try:
            return self.strict.present(*place)
        except AbsentError as error:
            found = self.volume.region(*place)
            if found.min() != found.max():
                self.torn[z, y, x] = error
            return found

    def store(self, image: np.ndarray) -> np.ndarray:
        """[0, 1] -> grey values of the volume."""
        return self.grey_range.from_unit(image, self.volume.dtype)

    def blocks_with_tissue(self, grid: Grid) -> list[int] | None:
        """Numbers of the blocks in which the mask is not 0 everywhere; None, for all, without a mask."""
        if self.mask is None:
            return None
        counts = grid.counts
        first = [grid.block(number) for number in range(counts[1] * counts[2])]
        y, x = (self._in_mask(axis, [(block.y, block.x)[axis - 1] for block in first]) for axis in (1, 2))
        found: list[int] = []
        for k in range(counts[0]):
            ((z0, z1),) = self._in_mask(0, [grid.block(k * len(first)).z]).tolist()
            tissue = np.any([self.mask.section(z) != 0 for z in range(z0, z1)], axis=0)
            sums = np.pad(tissue.cumsum(0, dtype=np.int64).cumsum(1), ((1, 0), (1, 0)))
            inside = sums[y[:, 1], x[:, 1]] - sums[y[:, 0], x[:, 1]] - sums[y[:, 1], x[:, 0]] + sums[y[:, 0], x[:, 0]]
            found += (k * len(first) + np.flatnonzero(inside)).tolist()
        return found

    def _in_mask(self, axis: int, spans: list[Span]) -> np.ndarray:
        """Spans of the region along an axis -> (n, 2), those of the mask that hold them."""
        assert self.mask is not None
        ends = np.array(spans) + self.region[axis][0]
        coarse, fine = self.mask.shape[axis], self.volume.shape[axis]
        return np.stack([ends[:, 0] * coarse // fine, -(-ends[:, 1] * coarse // fine)], axis=1)

    def constant(self, block: Block) -> float | None:
        """The grey value of a block that has only one, else None."""
        values: set[float] = set()
        for z in range(*block.z):
            section = self.read(z, block.y, block.x)
            values |= {section.min().item(), section.max().item()}
            if len(values) > 1:
                return None
        return values.pop()

    def close(self) -> None:
        """Close the files."""
        self.volume.close()
        if self.strict is not None:
            self.strict.close()
        if self.mask is not None:
            self.mask.close()


def sample(volume: Volume, count: int = 3) -> list[np.ndarray]:
    """The middle of some sections, evenly spaced; the first and the last are among them."""
    y, x = (slice(max(0, n // 2 - SAMPLE // 2), min(n, n // 2 + SAMPLE // 2)) for n in volume.shape[1:])
    return [volume.region(int(z), y, x) for z in np.unique(np.linspace(0, volume.shape[0] - 1, count).astype(int))]


def fingerprint(volume: Volume) -> str:
    """SHA-256 of shape, data type and :func:`sample`: tells volumes apart, without reading all of them."""
    digest = hashlib.sha256(f"{volume.shape} {volume.dtype}".encode())
    for part in sample(volume):
        digest.update(part.tobytes())
    return digest.hexdigest()
