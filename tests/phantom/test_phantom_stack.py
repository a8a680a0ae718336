"""The synthetic EM stack."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from gpemsr.errors import InputError
from gpemsr.phantom.fields import SmoothNoise, spline
from gpemsr.phantom.stack import Phantom, make_phantom, phantom_sections
from gpemsr.phantom.tubes import tube_distance

SMALL = (4, 96, 128)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom((6, 256, 256), (40.0, 4.0, 4.0), seed=0)


def test_shapes_dtypes_and_voxel_size(phantom):
    assert phantom.raw.shape == phantom.ids.shape == (6, 256, 256)
    assert phantom.raw.dtype == np.uint8 and phantom.ids.dtype == np.uint32


def test_the_same_seed_gives_the_same_bytes_in_another_process():
    program = (
        "import hashlib; from gpemsr.phantom.stack import make_phantom; p = make_phantom((2, 48, 64), seed=5); "
        "print(hashlib.sha256(p.raw.tobytes() + p.ids.tobytes()).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    here = make_phantom((2, 48, 64), seed=5)
    assert hashlib.sha256(here.raw.tobytes() + here.ids.tobytes()).hexdigest() == other


def test_another_seed_gives_another_stack():
    one, other = (make_phantom((1, 64, 64), seed=seed) for seed in (1, 2))
    assert (one.raw != other.raw).mean() > 0.5
    assert (one.ids > 0).tolist() != (other.ids > 0).tolist()


def test_sections_one_by_one_are_those_of_the_stack():
    stack = make_phantom(SMALL, seed=3)
    for k, (raw, ids) in enumerate(phantom_sections(SMALL, (40.0, 4.0, 4.0), seed=3)):
        assert np.array_equal(raw, stack.raw[k]) and np.array_equal(ids, stack.ids[k])


@settings(max_examples=6, deadline=None, derandomize=True)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(16, 70), st.integers(16, 70)),
    z=st.sampled_from([1.0, 8.0, 50.0, 200.0]),
    lateral=st.sampled_from([1.0, 4.0, 5.5, 10.0, 24.0]),
    seed=st.integers(0, 2**40),
)
def test_any_shape_and_voxel_size_gives_a_stack(shape, z, lateral, seed):
    phantom = make_phantom(shape, (z, lateral, lateral), seed)
    assert phantom.raw.shape == phantom.ids.shape == shape
    assert phantom.raw.max() > phantom.raw.min()


def test_membranes_are_dark_and_cells_are_light(phantom):
    inside = ndimage.binary_erosion(phantom.ids > 0, np.ones((1, 5, 5)))
    outside = phantom.ids == 0
    assert phantom.raw[inside].mean() - phantom.raw[outside].mean() > 40
    assert 0.08 < outside.mean() < 0.4


def test_different_cells_never_touch_in_a_section(phantom):
    for axis in (1, 2):
        one, other = (np.moveaxis(phantom.ids, axis, 0)[part] for part in (slice(1, None), slice(None, -1)))
        touching = (one > 0) & (other > 0) & (one != other)
        assert touching.mean() < 1e-4


def test_neurites_have_widely_varied_sizes():
    ids = make_phantom((1, 512, 512), seed=0, dose=0).ids
    areas = np.bincount(ids.ravel())[1:]
    diameters = 2 * np.sqrt(areas[areas > 100] / np.pi) * 4.0  # nm
    assert len(diameters) > 40
    assert np.percentile(diameters, 10) < 150 and 400 < diameters.max() < 2000


def test_profiles_change_slowly_from_section_to_section(phantom):
    one, other, far = phantom.ids[0], phantom.ids[1], phantom.ids[5]
    both = (one > 0) & (other > 0)
    assert (one == other)[both].mean() > 0.8
    assert (one == other)[both].mean() > (one == far)[(one > 0) & (far > 0)].mean() + 0.05


def test_geometry_is_in_nanometres():
    fine = make_phantom((1, 256, 256), (40.0, 4.0, 4.0), seed=4, jitter=0, dose=0, drift=0, blur=0)
    coarse = make_phantom((1, 128, 128), (40.0, 8.0, 8.0), seed=4, jitter=0, dose=0, drift=0, blur=0)
    binned = fine.raw.reshape(1, 128, 2, 128, 2).mean((2, 4))
    assert np.corrcoef(binned.ravel(), coarse.raw.ravel())[0, 1] > 0.95
    assert (fine.ids[:, ::2, ::2] == coarse.ids).mean() > 0.85


def test_jitter_shifts_sections_and_their_cells_together():
    still, moved = (make_phantom((3, 128, 128), seed=6, jitter=jitter, dose=0, drift=0) for jitter in (0.0, 12.0))
    for k in range(3):
        shifts = [(dy, dx) for dy in range(-9, 10) for dx in range(-9, 10)]
        centre = (slice(20, -20), slice(20, -20))
        by_raw = max(shifts, key=lambda s: -np.abs(
            np.roll(moved.raw[k], s, (0, 1))[centre].astype(float) - still.raw[k][centre]).mean())  # fmt: skip
        by_ids = max(shifts, key=lambda s: (np.roll(moved.ids[k], s, (0, 1))[centre] == still.ids[k][centre]).mean())
        assert np.abs(np.subtract(by_raw, by_ids)).max() <= 1
    assert not np.array_equal(still.ids, moved.ids)


def test_dose_sets_the_noise():
    clean, weak, strong = (make_phantom((1, 96, 96), seed=7, dose=dose).raw.astype(float) for dose in (0, 20, 400))
    assert np.std(weak - clean) > 2 * np.std(strong - clean) > 0


def test_contrast_drifts_between_sections():
    steady, drifting = (make_phantom((5, 64, 64), seed=8, drift=drift, dose=0).raw for drift in (0.0, 1.0))
    lit = [np.abs(a.astype(float) - b).mean() for a, b in zip(steady, drifting, strict=True)]
    assert max(lit) > 3 and np.ptp(lit) > 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"shape": (4, 8, 64)}, "shape"),
        ({"shape": (0, 64, 64)}, "shape"),
        ({"voxel_size": (40.0, 4.0, 5.0)}, "y and x must be equal"),
        ({"voxel_size": (0.0, 4.0, 4.0)}, "z must be from 1"),
        ({"seed": -1}, "seed"),
        ({"dose": -1.0}, "dose"),
        ({"jitter": float("nan")}, "jitter"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(arguments, says):
    with pytest.raises(InputError, match=says) as refused:
        make_phantom(**{"shape": (1, 32, 32), **arguments})
    assert "\n" not in str(refused.value)


def test_smooth_noise_has_unit_deviation_and_its_length():
    noise = SmoothNoise((0,), (4000.0, 4000.0), 40.0)
    at = np.arange(0, 4000, 10.0)
    plane = noise(100.0, at, at)
    assert abs(plane.std() - 1) < 0.1 and abs(plane.mean()) < 0.1
    neighbours, apart = ((plane[:, k:] * plane[:, :-k]).mean() for k in (1, 16))
    assert neighbours > 0.85 and abs(apart) < 0.1


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    st.floats(3, 12), st.floats(3, 12), st.floats(-2, 2, allow_subnormal=False), st.floats(-2, 2, allow_subnormal=False)
)
def test_sampling_reproduces_a_slope(y, x, a, b):
    plane = (a * np.arange(16)[:, None] + b * np.arange(16)).astype(np.float32)
    rows, columns = (spline(np.array([place]), 16) for place in (y, x))
    assert abs((rows @ plane @ columns.T).item() - (a * y + b * x)) < 1e-3


def test_distance_to_a_tube_is_signed_and_in_nm():
    points, radii = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 100.0]]), np.array([10.0, 20.0])
    at = [np.array([value], np.float32) for value in (0.0, 30.0, 50.0)]
    assert tube_distance(points, radii, *at)[0] == pytest.approx(30 - 15, abs=1e-3)
    assert tube_distance(points, radii, at[0], at[0], at[2])[0] == pytest.approx(-15, abs=1e-3)


@pytest.mark.realdata
def test_its_statistics_are_near_those_of_serial_sections(em_data):
    real = tifffile.imread(em_data / "isbi2012_train" / "raw.tif")[:6, :320, :320].astype(float)
    phantom = make_phantom((6, 320, 320), (50.0, 4.0, 4.0), seed=0).raw.astype(float)
    assert abs(phantom.mean() - real.mean()) < 20
    assert 0.75 < phantom.std() / real.std() < 1.35
    for low, high in ((0.02, 0.05), (0.05, 0.1), (0.1, 0.16)):  # cycles per pixel
        ratio = band_power(phantom, low, high) / band_power(real, low, high)
        assert 0.4 < ratio < 2.5


def band_power(stack: np.ndarray, low: float, high: float) -> float:
    size = stack.shape[1]
    window = np.hanning(size)[:, None] * np.hanning(size)
    power = np.abs(np.fft.fft2((stack - stack.mean()) * window)) ** 2
    frequency = np.fft.fftfreq(size)
    radius = np.hypot(frequency[:, None], frequency)
    return power[:, (radius > low) & (radius < high)].mean()
