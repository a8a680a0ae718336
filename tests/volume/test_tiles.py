"""Tiles and blocks: every pixel once, with weights that add up to 1, however sizes and overlaps are chosen."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gpemsr.errors import InputError
from gpemsr.volume.tiles import MULTIPLE, Grid, Tiling

SCALE = 2


def multiples(least: int, most: int):
    return st.integers(least, most).map(lambda n: MULTIPLE * n)


@st.composite
def tilings(draw) -> Tiling:
    halo = draw(multiples(0, 3))
    overlap = draw(multiples(halo // MULTIPLE * 2, 8))
    tile = draw(multiples(2 * overlap // MULTIPLE + 1, 24))
    return Tiling(draw(st.integers(1, 400)), tile, overlap, halo)


@given(tilings())
def test_weights_add_up_to_one_everywhere(axis):
    total = np.zeros(SCALE * axis.size, np.float32)
    for k in range(axis.count):
        start, stop = axis.used(k)
        total[SCALE * start : SCALE * stop] += axis.weights(k, SCALE)
    np.testing.assert_allclose(total, 1, rtol=1e-6)


@given(tilings())
def test_a_tile_sees_its_halo_and_not_more_than_fits(axis):
    for k in range(axis.count):
        (start, stop), (low, high) = axis.used(k), axis.seen(k)
        assert low >= 0 and high <= axis.size
        assert low <= max(0, start - axis.halo) and high >= min(axis.size, stop + axis.halo)
        assert high - low < axis.tile + MULTIPLE and low % MULTIPLE == 0


@settings(deadline=None, max_examples=50)
@given(tilings(), st.integers(1, 90), st.integers(1, 9), st.integers(1, 4), st.integers(1, 4))
def test_blocks_cover_every_voxel_once_and_know_their_tiles(axis, width, sections, depth, tiles):
    assume(axis.tile < axis.size)
    grid = Grid((sections, axis.size, width), axis.tile, axis.overlap, axis.halo, depth, tiles)
    covered = np.zeros(grid.shape, int)
    for index in range(len(grid)):
        block = grid.block(index)
        where = tuple(slice(*span) for span in (block.z, block.y, block.x))
        covered[where] += 1
        starts = [span[0] for span in (block.y, block.x)]
        assert [start % line.core for start, line in zip(starts, (grid.y, grid.x), strict=True)] == [0, 0]
        expected = [k for k in range(grid.y.count) if grid.y.used(k)[0] < block.y[1] and grid.y.used(k)[1] > block.y[0]]
        assert sorted({j for j, _ in grid.tiles_of(block)}) == expected
    assert (covered == 1).all()


def test_a_block_needs_one_tile_before_it_at_most():
    grid = Grid((4, 300, 300), 48, 16, 4, 4, 2)
    assert len(grid.tiles_of(grid.block(len(grid) // 2))) == 9


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ((62, 24, 8, 4, 1), "--tile 62: expected a multiple of 4"),
        ((64, 12, 8, 4, 1), "--overlap 12: expected 16 or more, the halo on both sides"),
        ((48, 24, 8, 4, 1), "--tile 48: expected more than 48, twice the overlap"),
        ((64, 24, 8, 0, 1), "--depth 0"),
    ],
)
def test_sizes_that_do_not_go_together_are_refused(sizes, said):
    with pytest.raises(InputError, match=said):
        Grid((4, 300, 300), *sizes)
