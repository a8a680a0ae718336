"""HR section -> LR section."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpemsr.compat import importable_basicsr
from gpemsr.data.degradations import DEGRADATIONS, degrade
from gpemsr.errors import InputError


def section(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width), np.float32)


@settings(deadline=None, max_examples=25)
@given(st.sampled_from([2, 3, 8, 16]), st.integers(2, 9), st.integers(2, 9), st.integers(0, 99))
def test_bicubic_is_basicsr_imresize(scale, rows, columns, seed):
    with importable_basicsr():
        from basicsr.utils.matlab_functions import imresize
    hr = section(rows * scale, columns * scale, seed)
    np.testing.assert_allclose(degrade(hr, scale, "bicubic"), np.clip(imresize(hr, 1 / scale), 0, 1), atol=1e-6)


def test_area_is_the_mean_of_each_block():
    hr = section(16, 24)
    assert degrade(hr, 8, "area")[1, 2] == pytest.approx(hr[8:16, 16:24].mean())


@settings(deadline=None, max_examples=15)
@given(
    st.sampled_from(sorted(DEGRADATIONS)),
    st.sampled_from([2, 4, 8]),
    st.integers(2, 5),
    st.integers(2, 5),
    st.floats(0, 1, width=32, allow_subnormal=False),
)
def test_an_even_section_keeps_its_size_ratio_and_level(kind, scale, rows, columns, level):
    hr = np.full((rows * scale, columns * scale), level, np.float32)
    lr = degrade(hr, scale, kind, **({"dose": 1e9, "read_noise": 0} if kind == "em" else {}))
    assert lr.shape == (rows, columns)
    assert lr.dtype == np.float32
    np.testing.assert_allclose(lr, level, atol=1e-3)


@pytest.mark.parametrize("scale", [4, 5])
def test_em_samples_at_the_centre_of_each_lr_pixel(scale):
    ramp = np.tile(np.linspace(0.2, 0.8, 10 * scale, dtype=np.float32), (10 * scale, 1))
    lr = degrade(ramp, scale, "em", dose=1e9, read_noise=0, blur=0.3)
    np.testing.assert_allclose(lr[:, 2:-2], degrade(ramp, scale, "area")[:, 2:-2], atol=1e-3)


def test_em_noise_is_poisson_gaussian():
    lr = degrade(np.full((2048, 2048), 0.5, np.float32), 8, "em", seed=3, dose=100, read_noise=4)
    # variance of the count: dose * signal + read_noise^2 electrons, here 50 + 16
    assert lr.mean() == pytest.approx(0.5, abs=0.002)
    assert (lr * 100).var() == pytest.approx(66, rel=0.03)


def test_em_blur_is_in_lr_pixels():
    edge = np.zeros((128, 256), np.float32)
    edge[:, 128:] = 1
    sharp, soft = (degrade(edge, 8, "em", dose=1e9, read_noise=0, blur=blur)[8] for blur in (0.2, 2.0))
    assert np.abs(np.diff(sharp)).max() > 0.95
    assert np.abs(np.diff(soft)).max() == pytest.approx(1 / np.sqrt(2 * np.pi) / 2, rel=0.05)


def test_the_seed_alone_decides_the_noise():
    hr = section(64, 64)
    first = degrade(hr, 8, "em", (1, 8, 3))
    degrade(hr, 8, "em", (1, 8, 4))
    np.testing.assert_array_equal(first, degrade(hr, 8, "em", (1, 8, 3)))
    assert (first != degrade(hr, 8, "em", (1, 8, 4))).any()


@pytest.mark.parametrize(
    ("shape", "scale", "kind", "parameters", "text"),
    [
        ((60, 64), 8, "area", {}, "does not divide by scale 8"),
        ((8, 64), 8, "bicubic", {}, "expected >= 16"),
        ((64, 64), 8, "nearest", {}, "bicubic, area, em"),
        ((64, 64), 8, "area", {"dose": 5.0}, "dose=5.0: degradation area takes no parameters"),
        ((64, 64), 8, "em", {"dos": 5.0}, "dos=5.0: degradation em takes dose, read_noise, blur"),
        ((64, 64), 8, "em", {"dose": 0}, "dose=0: expected a number > 0"),
        ((64, 64), 8, "em", {"blur": float("nan")}, "blur=nan: expected a number >= 0"),
    ],
)
def test_what_does_not_fit_is_refused(shape, scale, kind, parameters, text):
    with pytest.raises(InputError, match=text):
        degrade(np.zeros(shape, np.float32), scale, kind, **parameters)
