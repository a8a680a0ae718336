"""From trust layers to the error to expect: monotone curves, their sum, and the file."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpemsr.errors import InputError
from gpemsr.volume.calibrate import score
from gpemsr.volume.calibration import Calibration, Curve


@pytest.fixture
def known() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Errors whose size is the product of what two layers say; a third says nothing."""
    generator = np.random.default_rng(0)
    layers = {name: generator.uniform(1, 4, 20000) for name in ("rising", "falling", "nothing")}
    rms = 0.02 * layers["rising"] / layers["falling"]
    return layers, np.square(rms * generator.standard_normal(20000))


def fit(known) -> Calibration:
    return Calibration.fit(*known, scale=8, weights="abc", degradation="bicubic")


@given(seed=st.integers(0, 99), count=st.integers(1, 200))
@settings(deadline=None, max_examples=30)
def test_a_curve_is_monotone_and_keeps_the_mean_squared_error(seed, count):
    values, squared = np.random.default_rng(seed).random((2, count)).round(1)
    curve = Curve.fit(values, squared + 0.1)
    steps = np.diff(curve(np.linspace(-1, 2, 50)))
    assert (steps >= 0).all() or (steps <= 0).all()
    assert min(squared) + 0.1 - 1e-6 <= min(curve.errors) ** 2 <= max(curve.errors) ** 2 <= max(squared) + 0.1 + 1e-6


def test_the_error_to_expect_is_the_true_one(known):
    layers, squared = known
    expected = fit(known).expected_error(layers)
    np.testing.assert_allclose(expected, 0.02 * layers["rising"] / layers["falling"], rtol=0.4)
    assert np.corrcoef(expected, layers["rising"] / layers["falling"])[0, 1] > 0.99
    assert np.mean(expected**2) == pytest.approx(squared.mean(), rel=0.02)


def test_all_layers_say_more_than_one(known):
    layers, squared = known
    calibration = fit(known)
    each = [score(curve(layers[name]), squared) for name, curve in calibration.layers.items()]
    both = score(calibration.expected_error(layers), squared)
    assert both.ratio > max(score.ratio for score in each) > 1.5 and both.rank > max(score.rank for score in each)


def test_a_file_gives_back_what_was_saved(known, tmp_path):
    calibration = fit(known)
    calibration.save(tmp_path / "a.json")
    assert Calibration.load(tmp_path / "a.json") == calibration


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scale": "eight"}, "scale: "),
        ({"combined": {"values": [1, 2], "errors": [1]}}, "combined: .*lists of one length"),
        ({"coefficients": {}}, "one for each layer"),
        (None, "a.json: Invalid JSON: .*expected a file of gpemsr-calibrate"),
    ],
)
def test_another_file_is_refused_in_one_line(known, tmp_path, change, said):
    fit(known).save(tmp_path / "a.json")
    stored = json.loads((tmp_path / "a.json").read_text())
    (tmp_path / "a.json").write_text("no" if change is None else json.dumps(stored | change))
    with pytest.raises(InputError, match=said):
        Calibration.load(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ((8, "def", "bicubic", ["rising", "falling", "nothing"]), "another network"),
        ((8, "abc", "area", ["rising", "falling", "nothing"]), "--degradation bicubic, not area"),
        ((8, "abc", "bicubic", ["rising"]), "was made with falling, nothing; expected --trust full"),
    ],
)
def test_a_calibration_of_something_else_is_refused(known, made, said):
    with pytest.raises(InputError, match=said):
        fit(known).check("a.json", *made)
