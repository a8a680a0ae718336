"""Voxel sizes in the spellings that files have."""

import math

import numpy as np
import pytest

from gpemsr.data.volumes.voxel_size import from_attributes, nanometres, warn_if_implausible
from gpemsr.errors import InputError, InputWarning

ZYX = (0, 1, 2)
SENSELESS = [4.0, (4.0, 4.0), (50, math.nan, 4), (50, 0, 4), (50, -5, 4), "50", ["50 q", "5", "4"]]


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("nm", 1), ("nanometer", 1), ("Nanometers", 1), ("nanometre", 1), ("µm", 1e3), ("μm", 1e3), ("um", 1e3),
        ("micron", 1e3), ("microns", 1e3), ("micrometer", 1e3), ("\\u00B5m", 1e3), ("Å", 0.1), ("angstrom", 0.1),
        ("Angstroms", 0.1), ("pm", 1e-3), ("picometer", 1e-3), ("mm", 1e6), ("m", 1e9), ("metre", 1e9), (b"nm", 1),
    ],
)  # fmt: skip
def test_units_in_any_spelling(unit, factor):
    assert nanometres(4, unit) == pytest.approx(4 * factor)


@pytest.mark.parametrize("value", [None, 0, -1, math.nan, math.inf, "x", [4], "1e999"])
def test_what_is_no_length_is_unknown(value):
    assert nanometres(value, "nm") is None
    assert nanometres(4, "furlong") is None


@pytest.mark.parametrize(
    "attributes",
    [
        {"resolution": (50.0, 5.0, 4.0)},
        {"resolution": np.array([50, 5, 4])},
        {"element_size_um": np.array([0.05, 0.005, 0.004], np.float32)},
        {"resolution": "50,5,4"},
        {"resolution": b"(50 nm, 5 nm, 4 nm)"},
        {"resolution": "[50, 5, 4]"},
        {"resolution": ["50nm", "5nm", "4nm"]},
        {"resolution": [0.05, 0.005, 0.004], "unit": "um"},
        {"voxel_size": [50, 5, 4], "offset": [0, 0, 0]},
        {"resolution": [0.05, 0.005, 0.004], "unit": np.bytes_("um")},
        {"resolution": [0.05, 0.005, 0.004], "units": np.array(["um"] * 3, object)},
        {"resolution": [50, 5, 4], "units": ""},
        {"voxel_size": [0.05, 5, 4], "units": ["micrometer", "nm", "nm"]},
        {"element_size_um": (0.05, 0.005, 0.004)},
        {"pixelResolution": {"dimensions": [4, 5, 50], "unit": "nm"}},
        {"pixelResolution": [4, 5, 50]},
        {"pixelResolution": '{"dimensions": [0.004, 0.005, 0.05], "unit": "um"}'},
        {"transform": {"axes": ["z", "y", "x"], "scale": [50, 5, 4], "units": ["nm", "nm", "nm"]}},
        {"resolution": None, "voxel_size": [50, 5, 4]},
    ],
)
def test_attributes_in_their_forms(attributes):
    assert from_attributes(attributes, ZYX, "a") == pytest.approx((50, 5, 4), rel=1e-12)


def test_attributes_follow_the_order_of_the_axes():
    assert from_attributes({"resolution": [4, 5, 50]}, (2, 1, 0), "a") == (50, 5, 4)
    assert from_attributes({"resolution": [1, 50, 5, 4]}, (1, 2, 3), "a") == (50, 5, 4)
    assert from_attributes({"resolution": [50, 5, 4]}, (1, 2, 3), "a") == (50, 5, 4)
    assert from_attributes({"element_size_um": [1, 0.05, 0.005, 0.004]}, (1, 2, 3), "a") == (50, 5, 4)
    assert from_attributes({"resolution": [2, 0.05, 5, 4], "units": ["um", "nm", "nm"]}, (1, 2, 3), "a") == (50, 5, 4)


def test_a_unit_that_is_unknown_is_named():
    with pytest.raises(InputError, match=r"resolution is \[50, 5, 4\] in unit 'furlong'; expected"):
        from_attributes({"resolution": [50, 5, 4], "unit": np.bytes_("furlong")}, ZYX, "a")


def test_no_attribute_no_size():
    assert from_attributes({"resolution": None, "other": 3}, ZYX, "a") is None


@pytest.mark.parametrize(
    "value", [4.0, (4.0, 4.0), (50, math.nan, 4), (50, 0, 4), (50, -5, 4), "50", ["50 q", "5", "4"]]
)
def test_one_that_makes_no_sense_is_refused_with_the_option_that_helps(value):
    with pytest.raises(InputError, match=r"^a: resolution is .*--voxel-size gives it$"):
        from_attributes({"resolution": value}, ZYX, "a")


@pytest.mark.parametrize("size", [(50, 0.05, 4), (50_000, 4, 4)])
def test_a_size_that_no_microscope_has_is_told(size):
    with pytest.warns(InputWarning, match=r"implausible; --voxel-size"):
        warn_if_implausible(size, "a")
