"""Fourier ring correlation: a known cut-off is found, and the ends of the scale are what they mean."""

import numpy as np
import pytest

from gpemsr.metrics.frc import RingCorrelation, ring_correlation


def noise(shape, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def cut(image, cutoff, keep="low") -> np.ndarray:
    """What of an image is below a frequency in cycles per pixel, or above."""
    radius = np.hypot(np.fft.fftfreq(image.shape[0])[:, None], np.fft.fftfreq(image.shape[1]))
    kept = radius < cutoff if keep == "low" else radius >= cutoff
    return np.fft.ifft2(np.fft.fft2(image) * kept).real


@pytest.mark.parametrize("pixel_size", [1.0, 4.0, 10.0])
@pytest.mark.parametrize("cutoff", [0.15, 0.25, 0.4])
@pytest.mark.parametrize("shape", [(256, 256), (255, 320), (384, 250)])
def test_the_frequency_up_to_which_sections_agree_is_found(shape, cutoff, pixel_size):
    hr = noise(shape)
    sr = cut(hr, cutoff) + cut(noise(shape, 1), cutoff, "high")
    assert ring_correlation(sr, hr, pixel_size).resolution == pytest.approx(pixel_size / cutoff, rel=0.05)


@pytest.mark.parametrize("shape", [(64, 64), (63, 80), (2, 5)])
def test_equal_sections_are_resolved_up_to_nyquist(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    curve = ring_correlation(image, image, 4.0)
    assert np.allclose(curve.correlation, 1) and curve.resolution == 8.0


def test_contrast_and_brightness_do_not_matter():
    hr = noise((64, 72))
    sr = cut(hr, 0.2) + cut(noise(hr.shape, 1), 0.2, "high")
    expected = ring_correlation(sr, hr)
    assert np.allclose(ring_correlation(3 * sr + 100, hr / 2 - 7).correlation, expected.correlation)


def test_low_frequencies_shared_do_not_leak_into_high_ones():
    """A ramp, hundreds of times stronger than the noise, breaks off at the border."""
    ramp = 1000 * np.linspace(0, 1, 256) * np.ones((256, 1))
    curve = ring_correlation(ramp + noise(ramp.shape), ramp + noise(ramp.shape, 1))
    assert np.abs(curve.correlation[64:]).max() < 0.3 and abs(curve.correlation[64:].mean()) < 0.05


@pytest.mark.parametrize("sr", [np.zeros((64, 96)), -noise((64, 96))], ids=["empty", "inverted"])
def test_sections_that_share_nothing_are_resolved_to_their_shorter_side(sr):
    assert ring_correlation(sr, noise((64, 96)), 4.0).resolution == pytest.approx(256)


def test_the_first_crossing_counts_and_is_interpolated():
    frequency = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    curve = RingCorrelation(frequency, np.array([1, 1 / 7 + 0.3, 1 / 7 - 0.1, 0.9, 0]), 1.0)
    assert curve.resolution == pytest.approx(1 / 0.275)


def test_frequencies_are_per_nm_from_one_cycle_over_the_shorter_side():
    curve = ring_correlation(noise((40, 64)), noise((40, 64), 1), 5.0)
    assert curve.frequency[0] == pytest.approx(1 / 200) and curve.frequency[-1] == pytest.approx(1 / 10)
    assert len(curve.frequency) == len(curve.correlation) == 20


def test_sections_of_two_sizes_are_refused():
    with pytest.raises(ValueError, match="two of one size"):
        ring_correlation(noise((8, 8)), noise((8, 9)))
