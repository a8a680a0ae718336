"""Parameters of ``em`` from a pair of scans."""

import cv2
import numpy as np
import pytest

from gpemsr.data.degradations import degrade
from gpemsr.data.fit_degradation import fit_em
from gpemsr.errors import InputError

NOISE = {"dose": 200.0, "read_noise": 10.0}
KNOWN = {"blur": 0.4, "correlation": 0.45, "line_correlation": 0.3, "gain": 0.8, "offset": 0.1}


def tissue(shape, count=2):
    noise = np.random.default_rng(0).random((count, *shape), np.float32)
    blurred = np.stack([cv2.GaussianBlur(section, (0, 0), 6) for section in noise])
    return np.clip(0.5 + 0.12 * (blurred - blurred.mean()) / blurred.std(), 0, 1).astype(np.float32)


def scans(slow, scale, **parameters):
    return np.stack([degrade(section, scale, "em", (1, z), **parameters) for z, section in enumerate(slow)])


def test_parameters_come_back():
    slow = tissue((1024, 1024))
    fit = fit_em(slow, scans(slow, 4, **NOISE, **KNOWN), 4)
    assert fit.shift == (0, 0)
    for name, value in KNOWN.items():
        assert fit.parameters[name] == pytest.approx(value, abs=0.1 if name == "blur" else 0.05), name
    noise = np.sqrt(0.5 / fit.parameters["dose"] + (fit.parameters["read_noise"] / fit.parameters["dose"]) ** 2)
    assert noise == pytest.approx(np.sqrt(0.5 / 200 + (10 / 200) ** 2), rel=0.05)


def test_what_is_simulated_is_like_what_is_real():
    slow = tissue((512, 512))
    fast = np.stack([cv2.GaussianBlur(section, (0, 0), 1.5) for section in slow])
    white = np.random.default_rng(2).normal(0, 0.8, fast.shape)
    fast += np.stack([cv2.GaussianBlur(noise, (0, 0), 3) for noise in white])
    fit = fit_em(slow, np.roll(fast, (3, -2), (1, 2)).astype(np.float32), 8)
    assert fit.shift == pytest.approx((-3, 2), abs=0.3)
    assert fit.simulated.deviation == pytest.approx(fit.real.deviation, rel=0.15)
    for axis in (1, 2):
        assert fit.simulated.correlation(axis) == pytest.approx(fit.real.correlation(axis), rel=0.15)


def test_noise_is_correlated_along_the_scan_with_the_same_variance():
    flat = np.full((2, 1024, 1024), 0.5, np.float32)
    white, made = (scans(flat, 4, dose=100, **options) for options in ({}, {"correlation": 0.5}))
    assert made.std() == pytest.approx(white.std(), rel=0.02)
    made = made - made.mean()
    along, across = (made[:, :, 1:] * made[:, :, :-1]).mean(), (made[:, 1:] * made[:, :-1]).mean()
    assert along / made.var() == pytest.approx(0.5, abs=0.01)
    assert across / made.var() == pytest.approx(0, abs=0.01)
    assert made[:, :, 0].std() == pytest.approx(made.std(), rel=0.1)


@pytest.mark.parametrize(
    ("fast", "text"),
    [((1, 100, 256), "expected the same size, or slow = 8 x fast"), ((1, 8, 8), "expected 16 LR pixels or more")],
)
def test_what_does_not_belong_together_is_refused(fast, text):
    slow = tissue((64, 64) if fast[1] == 8 else (256, 256), 1)
    with pytest.raises(InputError, match=text):
        fit_em(slow, np.zeros(fast, np.float32) + np.eye(*fast[1:], dtype=np.float32), 8)


@pytest.mark.realdata
def test_the_real_pair(em_data):
    from gpemsr.cli.fit_degradation import read_unit

    pair = em_data / "fast_slow_pair"
    fit = fit_em(read_unit(pair / "slow.tif", None), read_unit(pair / "fast.tif", None), 8)
    assert fit.simulated.deviation == pytest.approx(fit.real.deviation, rel=0.15)
    for axis in (1, 2):
        assert fit.simulated.correlation(axis) == pytest.approx(fit.real.correlation(axis), rel=0.15)
