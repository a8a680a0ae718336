"""Differences over sections: known values, and intervals that survive few or equal sections."""

import warnings

import numpy as np
import pytest

from gpemsr.benchmark.report.scores import Difference, paired_difference


def test_a_single_section_has_no_interval():
    assert paired_difference([2.0], [0.5]) == Difference(1.5)


def test_the_interval_is_that_of_the_differences_not_of_the_sections():
    """Sections differ by tens, the methods by 1 +- 0.1 in each."""
    rng = np.random.default_rng(0)
    hard = rng.normal(30, 10, 64)
    ahead = rng.normal(1, 0.1, 64)
    difference = paired_difference(hard + ahead, hard)
    _, low, high, _ = difference
    assert difference.mean == pytest.approx(ahead.mean())
    expected = 1.96 * ahead.std(ddof=1) / 64**0.5
    assert (low, high) == pytest.approx((ahead.mean() - expected, ahead.mean() + expected), abs=0.15 * expected)


def test_the_other_way_round_is_the_negative():
    a, b = np.random.default_rng(0).random((2, 12))
    there, back = paired_difference(a, b), paired_difference(b, a)
    assert there.mean == pytest.approx(-back.mean)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=5e-3)


def test_it_is_the_same_at_each_call():
    a, b = np.random.default_rng(0).random((2, 12))
    assert paired_difference(a, b) == paired_difference(a, b)


@pytest.mark.parametrize("count", [2, 3, 30])
def test_equal_differences_have_an_interval_of_no_width(count):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        difference = paired_difference([3.0] * count, [1.0] * count)
    assert difference == Difference(2.0, 2.0, 2.0)


def test_two_sections_have_an_interval_between_them():
    assert paired_difference([1.0, 2.0], [0.0, 0.0]) == Difference(1.5, 1.0, 2.0)
