"""Images that, degraded, give the LR section that they were made of, and are no farther from HR than before."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpemsr.data.degradations import LINEAR, degrade
from gpemsr.volume.consistent import consistent, residual

SCALE = 8


def images(seed: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """An HR section, of an odd seed with a black row of LR pixels, and an image that is not quite like it."""
    generator = np.random.default_rng(seed)
    hr = generator.normal(0.5, 0.2, (SCALE * height, SCALE * width)).clip(0, 1)
    hr[:SCALE] *= 1 - seed % 2
    return hr.astype(np.float32), (hr + generator.normal(0, 0.1, hr.shape)).astype(np.float32)


@pytest.mark.parametrize("kind", LINEAR)
def test_the_residual_is_what_degrading_gives_minus_the_lr_section(kind):
    hr, image = images(0, 3, 4)
    lq = degrade(hr, SCALE, kind)
    found = residual(image.clip(0, 1), lq, SCALE, kind)
    np.testing.assert_allclose(found, degrade(image.clip(0, 1), SCALE, kind) - lq, atol=1e-6)


@given(kind=st.sampled_from(LINEAR), seed=st.integers(0, 99), height=st.integers(2, 5), width=st.integers(2, 5))
@settings(deadline=None, max_examples=20)
def test_a_consistent_image_gives_the_lr_section_back_and_is_nearer_to_hr(kind, seed, height, width):
    hr, image = images(seed, height, width)
    lq = degrade(hr, SCALE, kind)
    made = consistent(image, lq, SCALE, kind)
    before = np.abs(residual(image.clip(0, 1), lq, SCALE, kind)).max()
    assert np.abs(residual(made, lq, SCALE, kind)).max() < (before / 4 if seed % 2 else 0.5 / 255)
    assert np.square(made - hr).sum() < np.square(image.clip(0, 1) - hr).sum()


def test_for_area_the_residual_is_added_to_all_pixels_alike():
    hr, image = images(0, 3, 4)
    hr, image = 0.25 + hr / 2, 0.25 + image.clip(0, 1) / 2
    lq = degrade(hr, SCALE, "area")
    missing = lq - degrade(image, SCALE, "area")
    expected = image + missing.repeat(SCALE, 0).repeat(SCALE, 1)
    np.testing.assert_allclose(consistent(image, lq, SCALE, "area"), expected.clip(0, 1), atol=2e-3)


def test_an_hr_section_stays_as_it_is():
    hr, _ = images(1, 3, 3)
    np.testing.assert_array_equal(consistent(hr, degrade(hr, SCALE, "bicubic"), SCALE, "bicubic"), hr)
