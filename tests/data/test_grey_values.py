"""One mapping of grey values to [0, 1] and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpemsr.data.grey_values import GreyRange, choose_range, eight_bits, parse_range
from gpemsr.errors import InputError, InputWarning

WHOLE = {np.uint8: (0, 255), np.uint16: (0, 65535), np.int16: (-32768, 32767)}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_full_range_is_division_by_the_largest_value(dtype):
    values = np.arange(np.iinfo(dtype).max + 1).astype(dtype)
    unit = GreyRange.full(dtype).to_unit(values)
    assert unit.dtype == np.float32
    assert np.array_equal(unit, values.astype(np.float32) / np.float32(np.iinfo(dtype).max))


@given(dtype=st.sampled_from(list(WHOLE)), data=st.data())
def test_every_value_within_the_range_comes_back_and_those_beyond_are_clipped(dtype, data):
    first, last = WHOLE[dtype]
    low = data.draw(st.integers(first, last - 1))
    high = data.draw(st.integers(low + 1, last))
    values = np.arange(first, last + 1).astype(dtype)
    grey = GreyRange(low, high)
    back = grey.from_unit(grey.to_unit(values), dtype)
    assert back.dtype == dtype
    assert np.array_equal(back, values.clip(low, high))


def test_floating_point_values_are_not_rounded():
    grey = GreyRange(-0.5, 1.5)
    values = np.array([-0.5, 0.0, 0.3, 1.5, 7], np.float32)
    assert grey.to_unit(values).tolist() == pytest.approx([0, 0.25, 0.4, 1, 1])
    assert grey.from_unit(grey.to_unit(values), np.float32).tolist() == pytest.approx([-0.5, 0, 0.3, 1.5, 1.5])


def test_eight_bits_are_rounded_and_clipped():
    assert eight_bits(np.array([-0.1, 0.49 / 255, 0.51 / 255, 1.2])).tolist() == [0, 0, 1, 255]


@pytest.mark.parametrize(
    ("words", "choice"), [(None, None), (["observed"], "observed"), (["-100", "4095.5"], GreyRange(-100, 4095.5))]
)
def test_the_words_of_the_option(words, choice):
    assert parse_range(words) == choice


@pytest.mark.parametrize("words", [["4"], ["full", "3"], ["5", "5"], ["0", "inf"], ["a", "b"], ["1", "2", "3"]])
def test_other_words_are_refused(words):
    with pytest.raises(InputError, match="range"):
        parse_range(words)


def chosen(choice, values):
    observed = float(values.min()), float(values.max())
    return choose_range(choice, values.dtype, lambda: observed, lambda: [values], "a.tif")


def test_a_range_may_be_measured():
    values = np.linspace(100, 4095, 100_001).astype(np.int16)
    assert chosen("observed", values) == GreyRange(100, 4095)
    assert chosen("percentiles", values) == GreyRange(*np.percentile(values, (0.1, 99.9)))


def test_signed_and_floating_point_values_need_a_range():
    for dtype in (np.int16, np.float32):
        with pytest.raises(InputError, match=rf"a\.tif: {np.dtype(dtype)} voxels; expected .*--range LOW HIGH"):
            chosen(None, np.arange(9).astype(dtype))
    assert chosen("full", np.arange(9, dtype=np.int16)) == GreyRange(-32768, 32767)


def test_values_that_are_all_one_have_no_range():
    with pytest.raises(InputError, match="all grey values are 7"):
        chosen("observed", np.full(9, 7, np.uint8))


def test_a_range_that_is_hardly_used_is_told_with_its_numbers():
    with pytest.warns(InputWarning, match=r"a\.tif: grey values 0 to 4080 use 6% of the range 0 to 65535"):
        GreyRange.full(np.uint16).warn_if_unused(0, 4080, "a.tif")


@pytest.mark.filterwarnings("error")
def test_a_range_that_is_used_is_not_mentioned():
    GreyRange.full(np.uint16).warn_if_unused(100, 40000, "a.tif")
