"""Checks of network options before a network is built."""

from types import SimpleNamespace

import pytest

from gpemsr.options.networks import OptionChecked, check_nested, check_positive, check_widths


class Inner(OptionChecked):
    def __init__(self, width: int = 4) -> None:
        pass

    @classmethod
    def _check(cls, options):
        check_positive(options, "width")


def test_defaults_are_filled_in():
    Inner.check_options()


def test_an_unknown_option_is_a_type_error():
    with pytest.raises(TypeError, match="wdith"):
        Inner.check_options(wdith=4)


@pytest.mark.parametrize("value", [0, -1, 2.0, "4", None])
def test_what_is_no_positive_integer_is_refused(value):
    with pytest.raises(ValueError, match=rf"^width={value}: a positive integer$"):
        check_positive(SimpleNamespace(width=value), "width")


@pytest.mark.parametrize("channels", [[8, 8], [8, 8, 6], [8, 0, 8], [8, 8.0, 8]])
def test_widths_must_be_as_many_as_needed_and_fit_the_groups(channels):
    with pytest.raises(ValueError) as refused:
        check_widths(channels, 4, "channels", 3)
    assert str(refused.value) == f"channels={channels}: 3 widths, each a positive multiple of norm_groups=4"


def test_widths_without_groups_need_only_be_positive():
    check_widths([3, 5], 1, "channels", 2)
    with pytest.raises(ValueError, match=r"channels=\[3, 0\]: 2 widths, each positive"):
        check_widths([3, 0], 1, "channels", 2)


def test_an_option_of_a_network_inside_is_named_with_its_place():
    with pytest.raises(ValueError, match=r"^prior\.width=0: a positive integer$"):
        check_nested(Inner, {"width": 0}, "prior")
    with pytest.raises(ValueError, match=r"^prior\.wdith: unknown; Inner takes width$"):
        check_nested(Inner, {"wdith": 1}, "prior")
    check_nested(Inner, None, "prior")
