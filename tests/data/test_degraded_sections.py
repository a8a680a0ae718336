import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpemsr.data.degradations import degrade
from gpemsr.data.degraded_sections import DegradedSections
from gpemsr.data.grey_values import GreyRange
from gpemsr.data.lmdb_job import LmdbJob, degrade_stored
from gpemsr.data.section_options import DegradationOptions
from gpemsr.data.section_store import open_section_store
from gpemsr.errors import InputError


def degraded(stores: dict, scale: int = 8, **degradation) -> DegradedSections:
    return DegradedSections(open_section_store(stores["dataroot_gt"], "disk"), scale, DegradationOptions(**degradation))


NOISELESS_EM = {"kind": "em", "dose": 1e9, "read_noise": 0, "blur": 3}


@pytest.mark.parametrize("furthest", [0, 7], ids=["aligned", "shifted"])
@pytest.mark.parametrize("degradation", [{"kind": "bicubic"}, {"kind": "area"}, NOISELESS_EM], ids=lambda d: d["kind"])
@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_degraded_crop_is_the_crop_of_the_degraded_section(make_stores, tmp_path, degradation, furthest, data):
    if not (tmp_path / "hr").exists():
        make_stores({"vol": [5]}, dtype="uint16")
    sections = degraded({"dataroot_gt": tmp_path / "hr"}, **degradation)
    down, right = data.draw(st.integers(0, furthest)), data.draw(st.integers(0, furthest))
    rows, columns = (192 - down) // 8, (256 - right) // 8
    height, width = data.draw(st.integers(1, rows)), data.draw(st.integers(1, columns))
    y, x = data.draw(st.integers(0, rows - height)), data.draw(st.integers(0, columns - width))
    hr = open_section_store(tmp_path / "hr", "disk").read_float("vol", 5)
    options = {key: value for key, value in degradation.items() if key != "kind"}
    whole = degrade(hr[down:, right:][: 8 * rows, : 8 * columns], 8, degradation["kind"], **options)
    crop = sections.read_float("vol", 5, y, x, height, width, (down, right))
    np.testing.assert_allclose(crop, whole[y : y + height, x : x + width], atol=2e-4)


@pytest.mark.parametrize("kind", ["bicubic", "area", "em"])
def test_whole_section_is_what_gpemsr_lmdb_stores(make_stores, tmp_path, kind):
    sections = degraded(make_stores({"vol": [3]}), kind=kind, seed=5)
    hr = cv2.imread(str(tmp_path / "hr" / "vol" / "3.png"), cv2.IMREAD_UNCHANGED)
    stored = degrade_stored(
        hr, 3, 8, LmdbJob(tmp_path, "name", "vol", degradation=kind, seed=5), GreyRange.full(hr.dtype)
    )
    lr = sections.read_float("vol", 3, 0, 0, 24, 32)
    assert lr.dtype == np.float32
    np.testing.assert_array_equal(lr, stored / np.float32(255))


def test_noise_is_fixed_by_seed_and_place(make_stores):
    stores = make_stores()
    one, same, other = (degraded(stores, kind="em", seed=seed) for seed in (1, 1, 2))
    rectangle = ("vol", 1, 5, 6, 10, 12)
    np.testing.assert_array_equal(one.read_float(*rectangle), same.read_float(*rectangle))
    assert np.abs(one.read_float(*rectangle) - other.read_float(*rectangle)).max() > 0.01


def test_noise_is_another_where_the_grid_is_shifted(make_stores):
    sections = degraded(make_stores(), kind="em", dose=20)
    here, again, beside = (sections.read_float("vol", 1, 5, 6, 10, 12, shift) for shift in ((0, 1), (0, 1), (0, 2)))
    np.testing.assert_array_equal(here, again)
    assert np.abs(here - beside).mean() > 0.05


def test_sections_keep_their_numbers_and_have_lr_sizes(make_stores):
    info = degraded(make_stores({"vol": [2, 7]}), scale=10, kind="area").volumes["vol"]
    assert (info.sections, info.height, info.width) == ((2, 7), 19, 25)


def test_sections_too_small_for_the_scale_are_refused(make_stores):
    with pytest.raises(InputError, match="too small for bicubic x128"):
        degraded(make_stores(), scale=128, kind="bicubic")
