"""The LR stack: regions, masks, and what stands in for damaged sections."""

import numpy as np
import pytest
import tifffile

from gpemsr.data.grey_values import GreyRange
from gpemsr.data.volumes.reader import open_volume
from gpemsr.errors import InputError
from gpemsr.volume.columns import REACH, Column
from gpemsr.volume.stack import LRStack, fingerprint
from gpemsr.volume.tiles import Block, Grid


@pytest.fixture
def stack_of(tmp_path):
    def make(array: np.ndarray, **options) -> LRStack:
        tifffile.imwrite(tmp_path / "v.tif", array, photometric="minisblack")
        region = tuple((0, n) for n in array.shape)
        return LRStack(open_volume(tmp_path / "v.tif", on_missing="keep"), GreyRange(0, 255), region, **options)

    return make


def sections(values: list[int | None]) -> np.ndarray:
    """Sections of 4 x 4: noise around a value, or black for None."""
    stack = np.zeros((len(values), 4, 4), np.uint8)
    for section, value in zip(stack, values, strict=True):
        if value is not None:
            section[...] = value + np.arange(16).reshape(4, 4)
    return stack


def stand_ins(stack: LRStack) -> dict[int, int]:
    column = Column(stack, [((0, 4), (0, 4))])
    for z in range(len(column)):
        column[z]
    return {z: source for (_, z), source in column.replaced.items()}


def test_a_black_section_becomes_the_nearest_earlier_valid_one(stack_of):
    stack = stack_of(sections([None, 10, None, None, 40, 50]))
    assert stand_ins(stack) == {0: 1, 2: 1, 3: 1}
    column = Column(stack, [((0, 4), (0, 4)), ((0, 2), (2, 4))][:1])
    np.testing.assert_array_equal(column[2].numpy(), column[1].numpy())


def test_named_sections_count_as_damaged(stack_of):
    assert stand_ins(stack_of(sections([10, 20, 30]), missing=[1])) == {1: 0}
    with pytest.raises(InputError, match="missing section 7: the volume has 0-2"):
        stack_of(sections([10, 20, 30]), missing=[7])


def test_where_there_is_no_tissue_nothing_is_replaced(stack_of):
    assert stand_ins(stack_of(sections([10, *[None] * (REACH + 1), 20]))) == {}
    assert stand_ins(stack_of(sections([None] * 3))) == {}


def test_a_block_of_one_grey_value_is_known(stack_of):
    stack = stack_of(sections([None, None, 10]))
    assert stack.constant(Block(0, (0, 2), (0, 4), (0, 4))) == 0
    assert stack.constant(Block(0, (1, 3), (0, 4), (0, 4))) is None


def test_a_coarser_mask_says_where_there_is_tissue(stack_of, tmp_path):
    mask = np.zeros((1, 2, 2), np.uint8)
    mask[0, 0, 1] = 1
    tifffile.imwrite(tmp_path / "mask.tif", mask, photometric="minisblack")
    stack = stack_of(sections([10, 20]), mask=tmp_path / "mask.tif")
    grid = Grid((2, 4, 4), 4, 0, 0, 1, 1)
    assert stack.blocks_with_tissue(grid) == [0, 1]
    assert stack_of(np.ones((1, 16, 8), np.uint8)).blocks_with_tissue(grid) is None
    stack = stack_of(np.ones((1, 8, 8), np.uint8), mask=tmp_path / "mask.tif")
    assert stack.blocks_with_tissue(Grid((1, 8, 8), 4, 0, 0, 1, 1)) == [1]


def test_fingerprints_tell_volumes_apart(stack_of):
    first = fingerprint(stack_of(sections([10, 20])).volume)
    assert fingerprint(stack_of(sections([10, 20])).volume) == first
    assert fingerprint(stack_of(sections([10, 21])).volume) != first
