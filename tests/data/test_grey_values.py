import numpy as np
import pytest

from gpemsr.data.grey_values import from_unit, to_unit


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_value_comes_back(dtype):
    values = np.arange(np.iinfo(dtype).max + 1).astype(dtype)
    unit = to_unit(values)
    assert (unit.dtype, unit[0], unit[-1]) == (np.float32, 0, 1)
    assert np.array_equal(from_unit(unit, dtype), values)
    assert from_unit(unit, dtype).dtype == dtype


def test_values_are_rounded_and_clipped():
    assert from_unit(np.array([-0.1, 0.49 / 255, 0.51 / 255, 1.2]), np.uint8).tolist() == [0, 0, 1, 255]
