"""Super-resolving one block: its tile columns streamed along z, and blended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby, repeat
from typing import Any

import numpy as np

from gpemsr.data.degradations import Kind
from gpemsr.volume.columns import Column, Turned
from gpemsr.volume.consistent import consistent
from gpemsr.volume.network import VolumeNetwork
from gpemsr.volume.section_loop import Sections, encoded_windows
from gpemsr.volume.stack import LRStack
from gpemsr.volume.tiles import Block, Grid, Span, blend


@dataclass(frozen=True)
class TileSection:
    """One section of one tile, super-resolved."""

    z: int
    """Its position in the stack."""
    tile: tuple[int, int]
    """(y, x) numbers in the grid."""
    lq: np.ndarray
    """(h, w) in [0, 1], all that the network saw of the section, or of the one that stands in for it."""
    sr: np.ndarray
    """(r*h, r*w), float32, not clipped, of the same."""
    window: Any
    """What the network knows of the sections of its window, (b, t, ...): codes, confidence, mask, ..."""
    row: int
    """Its place in the window's first axis."""


@dataclass
class SeamSums:
    """Sums of absolute grey-value steps from an LR pixel to the next: where tiles meet, and elsewhere."""

    border: float = 0.0
    borders: int = 0
    other: float = 0.0
    others: int = 0

    def add(self, steps: np.ndarray, borders: list[int]) -> None:
        """Count ``steps`` (n, places), where ``borders`` are indices of places."""
        at = np.zeros(steps.shape[1], bool)
        at[borders] = True
        self.border += float(steps[:, at].sum(dtype=np.float64))
        self.other += float(steps[:, ~at].sum(dtype=np.float64))
        self.borders += int(at.sum()) * len(steps)
        self.others += int((~at).sum()) * len(steps)

    @property
    def ratio(self) -> float | None:
        """Mean step where tiles meet over that elsewhere; None where no tiles meet."""
        return (self.border / self.borders) / (self.other / self.others) if self.borders and self.other else None


@dataclass
class BlockResult:
    """A super-resolved block."""

    image: np.ndarray
    """(z, r*y, r*x) in the source's data type."""
    replaced: list[list[Any]] = field(default_factory=list)
    """[z, y, x of the rectangle, section that stands in], for each that was damaged."""
    seams: SeamSums = field(default_factory=SeamSums)
    """Those within the block."""
    layers: dict[str, np.ndarray] = field(default_factory=dict)
    """Layers of trust, (z, y, x) float32, by name."""


def super_resolve_tiles(
    network: VolumeNetwork, columns: Sections, tiles: list[tuple[int, int]], z: Span
) -> Iterator[TileSection]:
    """The sections ``z`` of some tiles of one size, each section encoded once."""
    windows = encoded_windows(network, columns, range(*z), network.device)
    for index, window in zip(range(*z), windows, strict=True):
        sr = network.reconstruct(window)[:, 0].cpu().numpy()
        lq = columns[index].numpy().reshape(len(tiles), *columns[index].shape[-2:])
        for row, tile in enumerate(tiles):
            yield TileSection(index, tile, lq[row], sr[row], window, row)


def super_resolve_block(
    network: VolumeNetwork,
    stack: LRStack,
    grid: Grid,
    block: Block,
    batch: int = 1,
    advance: Callable[[], object] = lambda: None,
    see: Callable[[TileSection, TileSection | None], object] = lambda section, turned: None,
    is_turned: bool = False,
    degradation: Kind | None = None,
) -> BlockResult:
    """Super-resolve a block; the same bytes whichever blocks were done before.

    Args:
        advance: called after each section of a tile.
        see: called with each section of a tile before it is blended, as it is and turned.
        is_turned: whether the sections are also super-resolved turned by 180 degrees, for ``see``.
        degradation: that takes each tile back to what the network saw of it; None for tiles as the network makes them.
    """
    r = network.scale
    lengths = [stop - start for start, stop in (block.z, block.y, block.x)]
    shape = (lengths[0], r * lengths[1], r * lengths[2])
    result = BlockResult(np.empty(shape, stack.volume.dtype))
    tiles = grid.tiles_of(block)
    blended = None if grid.is_whole else np.zeros(shape, np.float32)
    for together, rectangles in batches(grid, tiles, batch):
        column = Column(stack, rectangles)
        sections = super_resolve_tiles(network, column, together, block.z)
        turned: Iterator[TileSection | None] = repeat(None)
        if is_turned:
            turned = super_resolve_tiles(network, Turned(column), together, block.z)
        for section, other in zip(sections, turned, strict=False):
            see(section, other)
            k, image = section.z - block.z[0], section.sr
            if degradation is not None:
                image = consistent(image, section.lq, r, degradation)
            if blended is None:
                result.image[k] = stack.store(image)
            else:
                blend(blended[k], image, grid, block, section.tile, r)
            advance()
        result.replaced += [
            [z, *rectangles[number], source]
            for (number, z), source in column.replaced.items()
            if block.z[0] <= z < block.z[1]
        ]
    if blended is not None:
        for k in range(len(blended)):
            result.image[k] = stack.store(blended[k])
        result.seams = seams_of(result.image, grid, block, r)
    return result


def batches(
    grid: Grid, tiles: list[tuple[int, int]], batch: int
) -> Iterator[tuple[list[tuple[int, int]], list[tuple[Span, Span]]]]:
    """Up to ``batch`` neighbouring tiles of one size at a time, and the rectangles that the network sees of them."""

    def size(tile: tuple[int, int]) -> tuple[int, ...]:
        return tuple(stop - start for start, stop in (grid.y.seen(tile[0]), grid.x.seen(tile[1])))

    for _, group in groupby(sorted(tiles, key=size), key=size):
        same = list(group)
        for first in range(0, len(same), batch):
            together = same[first : first + batch]
            yield together, [(grid.y.seen(j), grid.x.seen(i)) for j, i in together]


def seams_of(image: np.ndarray, grid: Grid, block: Block, scale: int) -> SeamSums:
    """Steps of a block's image (z, r*y, r*x) over the borders of LR pixels: where tiles meet, and elsewhere."""
    sums = SeamSums()
    for section in image:
        for axis, span, turned in ((grid.y, block.y, section.T), (grid.x, block.x, section)):
            at = turned[:, scale::scale].astype(np.float32)
            before = turned[:, scale - 1 : -1 : scale].astype(np.float32)
            sums.add(np.abs(at - before), [border - span[0] - 1 for border in axis.borders(span)])
    return sums
