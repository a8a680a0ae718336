"""How a volume is cut into tiles that the network sees and blocks that are written: plain geometry in LR pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gpemsr.errors import InputError

MULTIPLE = 4  # tiles start where the network's pyramid and the prior's codes do
Span = tuple[int, int]


@dataclass(frozen=True)
class Tiling:
    """Overlapping tiles along y or x, anchored to the volume.

    Tile k is used from ``k * core`` on; over the first ``feather`` pixels it takes over from tile k - 1. So a part of
    the axis that starts at a multiple of ``core`` needs one tile before it at most. What a tile sees beyond the part
    that is used is at least ``halo``, but at the volume's ends.
    """

    size: int
    """Pixels of the axis."""
    tile: int
    """Pixels that the network sees at once; ``size`` or more for all of them."""
    overlap: int
    """Pixels that neighbouring tiles share."""
    halo: int
    """Those of the overlap at a tile's border that are not used."""

    @property
    def core(self) -> int:
        """Pixels from a tile to the next."""
        return self.size if self.tile >= self.size else self.tile - self.overlap

    @property
    def feather(self) -> int:
        """Pixels over which tiles are blended."""
        return self.overlap - 2 * self.halo

    @property
    def count(self) -> int:
        """Number of tiles."""
        return max(0, math.ceil((self.size - self.tile + self.halo) / self.core)) + 1 if self.tile < self.size else 1

    def used(self, k: int) -> Span:
        """The pixels in which tile ``k`` has weight."""
        return k * self.core, self.size if k == self.count - 1 else (k + 1) * self.core + self.feather

    def seen(self, k: int) -> Span:
        """The pixels that the network sees of tile ``k``."""
        last = (self.size - self.tile) // MULTIPLE * MULTIPLE
        start = max(0, min(k * self.core - self.halo, last))
        return start, self.size if k == self.count - 1 else start + self.tile

    def weights(self, k: int, scale: int) -> np.ndarray:
        """Weights of the HR pixels of :meth:`used`, float32; those of all tiles add up to 1."""
        start, stop = self.used(k)
        weights = np.ones(scale * (stop - start), np.float32)
        steps = scale * self.feather
        ramp = (np.arange(steps, dtype=np.float32) + np.float32(0.5)) / np.float32(max(1, steps))
        if k > 0:
            weights[:steps] = ramp
        if k < self.count - 1:
            weights[len(weights) - steps :] = 1 - ramp
        return weights

    def touching(self, span: Span) -> Iterator[int]:
        """The tiles that have weight in ``span``."""
        for k in range(max(0, span[0] // self.core - 1), min(self.count, span[1] // self.core + 1)):
            start, stop = self.used(k)
            if start < span[1] and stop > span[0]:
                yield k

    def borders(self, span: Span) -> list[int]:
        """Where, strictly inside ``span``, a tile begins to take over from another, and where it has done so."""
        steps = {k * self.core + step for k in range(1, self.count) for step in (0, self.feather)}
        return sorted(border for border in steps if span[0] < border < span[1])


@dataclass(frozen=True)
class Block:
    """A unit of work: its sections and pixels, in the region's LR coordinates."""

    index: int
    z: Span
    y: Span
    x: Span

    def __str__(self) -> str:
        z, y, x = (f"{start}:{stop}" for start, stop in (self.z, self.y, self.x))
        return f"block {self.index}, LR region {z},{y},{x}"


@dataclass(frozen=True)
class Grid:
    """Tiles and blocks of an LR region. Raises InputError for sizes that do not go together."""

    shape: tuple[int, int, int]
    """(z, y, x) of the region."""
    tile: int
    """LR pixels along y and x, like ``overlap`` and ``halo``; see :class:`Tiling`."""
    overlap: int
    halo: int
    depth: int
    """Sections of a block."""
    tiles: int
    """Tiles of a block along y and along x."""

    def __post_init__(self) -> None:
        for name in ("tile", "overlap", "halo"):
            if getattr(self, name) % MULTIPLE or getattr(self, name) < 0:
                raise InputError(f"--{name} {getattr(self, name)}: expected a multiple of {MULTIPLE}")
        if self.overlap < 2 * self.halo:
            raise InputError(f"--overlap {self.overlap}: expected {2 * self.halo} or more, the halo on both sides")
        if self.tile < max(self.shape[1:]) and self.tile < 2 * self.overlap + MULTIPLE:
            raise InputError(f"--tile {self.tile}: expected more than {2 * self.overlap}, twice the overlap")
        if min(self.depth, self.tiles) < 1:
            raise InputError(f"--depth {self.depth}: expected 1 or more")

    @property
    def y(self) -> Tiling:
        """Tiles along y."""
        return Tiling(self.shape[1], self.tile, self.overlap, self.halo)

    @property
    def x(self) -> Tiling:
        """Tiles along x."""
        return Tiling(self.shape[2], self.tile, self.overlap, self.halo)

    @property
    def is_whole(self) -> bool:
        """Whether the network sees whole sections."""
        return self.y.count == self.x.count == 1

    @property
    def counts(self) -> tuple[int, int, int]:
        """Numbers of blocks along z, y, x."""
        return (
            math.ceil(self.shape[0] / self.depth),
            math.ceil(self.y.count / self.tiles),
            math.ceil(self.x.count / self.tiles),
        )

    def __len__(self) -> int:
        return math.prod(self.counts)

    def block(self, index: int) -> Block:
        """Block ``index``; x is the fastest."""
        k, j, i = (int(n) for n in np.unravel_index(index, self.counts))
        z = (k * self.depth, min(self.shape[0], (k + 1) * self.depth))
        return Block(index, z, self._span(self.y, j), self._span(self.x, i))

    def _span(self, axis: Tiling, number: int) -> Span:
        step = self.tiles * axis.core
        is_last = (number + 1) * self.tiles >= axis.count
        return number * step, axis.size if is_last else (number + 1) * step

    def tiles_of(self, block: Block) -> list[tuple[int, int]]:
        """(y, x) numbers of the tiles that have weight in a block."""
        return [(j, i) for j in self.y.touching(block.y) for i in self.x.touching(block.x)]


def blend(into: np.ndarray, image: np.ndarray, grid: Grid, block: Block, tile: tuple[int, int], scale: int) -> None:
    """Add a tile (r*h, r*w) with its weights to a block's section (r*y, r*x), in place."""
    targets, sources, weights = [], [], []
    for axis, number, span in ((grid.y, tile[0], block.y), (grid.x, tile[1], block.x)):
        used, seen = axis.used(number), axis.seen(number)
        start, stop = max(used[0], span[0]), min(used[1], span[1])
        targets.append(slice(scale * (start - span[0]), scale * (stop - span[0])))
        sources.append(slice(scale * (start - seen[0]), scale * (stop - seen[0])))
        weights.append(axis.weights(number, scale)[scale * (start - used[0]) : scale * (stop - used[0])])
    into[tuple(targets)] += image[tuple(sources)] * np.outer(*weights)
