import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpemsr.data.degradations import degrade
from gpemsr.data.lmdb_job import LmdbJob, degrade_stored
from gpemsr.data.section_pairs import DegradationOptions, SectionPairs, check_crop, check_num_frame, check_pair
from gpemsr.errors import InputError


def pairs_of(stores: dict, gt_size=None, degradation: dict | None = None, **changes) -> SectionPairs:
    keys = {**stores, "degradation": None, **changes}
    if degradation is not None:
        keys |= {"dataroot_lq": None, "degradation": DegradationOptions(**degradation)}
    keys["io_backend"] = SimpleNamespace(**keys["io_backend"])
    return SectionPairs(SimpleNamespace(**keys), gt_size)


NOISELESS_EM = {"kind": "em", "dose": 1e9, "read_noise": 0, "blur": 3}


@pytest.mark.parametrize("degradation", [{"kind": "bicubic"}, {"kind": "area"}, NOISELESS_EM], ids=lambda d: d["kind"])
@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_degraded_crop_is_the_crop_of_the_degraded_section(make_stores, tmp_path, degradation, data):
    if not (tmp_path / "hr").exists():
        make_stores({"vol": [5]}, dtype="uint16")
    stores = {"dataroot_gt": str(tmp_path / "hr"), "io_backend": {"type": "disk"}, "scale": 8}
    pairs = pairs_of(stores, degradation=degradation)
    whole_height, whole_width = pairs.lq_shape("vol")
    height, width = data.draw(st.integers(1, whole_height)), data.draw(st.integers(1, whole_width))
    y, x = data.draw(st.integers(0, whole_height - height)), data.draw(st.integers(0, whole_width - width))
    hr = pairs.read_gt("vol", 5, 0, 0, whole_height, whole_width)
    options = {key: value for key, value in degradation.items() if key != "kind"}
    whole = degrade(hr, 8, degradation["kind"], **options)
    crop = pairs.read_lq("vol", 5, y, x, height, width)
    np.testing.assert_allclose(crop, whole[y : y + height, x : x + width], atol=2e-4)


def test_lr_made_from_hr_has_the_steps_of_the_source(make_stores):
    pairs = pairs_of(make_stores(), degradation={"kind": "bicubic"})
    lq = pairs.read_lq("vol", 0, 3, 4, 8, 8)
    assert lq.dtype == np.float32
    np.testing.assert_allclose(lq * 255, np.round(lq * 255), atol=1e-4)


def test_lr_made_from_hr_is_the_stored_lr(make_stores):
    stores = make_stores()
    rectangle = ("vol", 1, 5, 6, 10, 12)
    stored = pairs_of(stores).read_lq(*rectangle)
    made = pairs_of(stores, degradation={"kind": "bicubic"}).read_lq(*rectangle)
    np.testing.assert_allclose(made, stored, atol=1.01 / 255)


@pytest.mark.parametrize("kind", ["bicubic", "area", "em"])
def test_whole_lr_made_from_hr_is_what_gpemsr_lmdb_stores(make_stores, tmp_path, kind):
    pairs = pairs_of(make_stores({"vol": [3]}), degradation={"kind": kind, "seed": 5})
    hr = cv2.imread(str(tmp_path / "hr" / "vol" / "3.png"), cv2.IMREAD_UNCHANGED)
    stored = degrade_stored(hr, 3, 8, LmdbJob(tmp_path, "name", "vol", degradation=kind, seed=5))
    np.testing.assert_array_equal(pairs.read_lq("vol", 3, 0, 0, 24, 32), stored / np.float32(255))


def test_noise_is_fixed_by_seed_and_place(make_stores):
    stores = make_stores()
    one, same, other = (pairs_of(stores, degradation={"kind": "em", "seed": seed}) for seed in (1, 1, 2))
    rectangle = ("vol", 1, 5, 6, 10, 12)
    np.testing.assert_array_equal(one.read_lq(*rectangle), same.read_lq(*rectangle))
    assert np.abs(one.read_lq(*rectangle) - other.read_lq(*rectangle)).max() > 0.01


def test_hr_beyond_whole_lr_pixels_is_left_out(make_stores):
    stores = make_stores(shape=(192, 256))
    pairs = pairs_of(stores, degradation={"kind": "area"}, scale=10)
    assert pairs.lq_shape("vol") == (19, 25)
    assert pairs.read_lq("vol", 0, 0, 0, 19, 25).shape == (19, 25)
    assert pairs.read_gt("vol", 0, 0, 0, 19, 25).shape == (190, 250)


def test_window_takes_neighbours_in_the_list_across_gaps(make_stores):
    pairs = pairs_of(make_stores({"vol": [2, 3, 7, 12]}))
    assert pairs.window("vol", 2, 5) == [2, 2, 2, 3, 7]
    assert pairs.window("vol", 7, 5) == [2, 3, 7, 12, 12]


def test_pairs_can_be_pickled_after_reading(make_stores):
    pairs = pairs_of(make_stores(backend="lmdb"))
    rectangle = ("vol", 0, 0, 0, 4, 4)
    first = pairs.read_lq(*rectangle)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(pairs)).read_lq(*rectangle), first)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda hr, lr: shutil.copytree(lr / "vol", lr / "more"), "volume more is not in both"),
        (lambda hr, lr: (lr / "vol" / "2.png").unlink(), "section 2 of vol is not in both"),
        (lambda hr, lr: shutil.rmtree(lr), "no such folder"),
    ],
    ids=["volume", "section", "folder"],
)
def test_stores_that_do_not_match_are_refused(make_stores, change, message):
    stores = make_stores()
    change(Path(stores["dataroot_gt"]), Path(stores["dataroot_lq"]))
    with pytest.raises(InputError, match=message):
        pairs_of(stores)


def test_sizes_that_do_not_match_the_scale_are_refused(make_stores):
    with pytest.raises(InputError, match=r"24 x 32 .* 192 x 256; HR = scale 16 x LR fits"):
        pairs_of(make_stores(), scale=16)


def test_missing_scale_is_refused(make_stores):
    with pytest.raises(InputError, match="scale"):
        pairs_of(make_stores(), scale=None)


def test_crop_larger_than_a_section_is_refused(make_stores):
    with pytest.raises(InputError, match="gt_size <= 192 fits"):
        pairs_of(make_stores(), gt_size=208)


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: check_crop({"gt_size": 100}, paired=False), "gt_size=100: a multiple of 16 fits"),
        (lambda: check_crop({"gt_size": 48, "scale": 32}, paired=True), "gt_size=48: a multiple of the scale 32"),
        (lambda: check_crop({"gt_size": None, "use_rot": True}, paired=True), "use_rot=true: false fits"),
        (lambda: check_pair({"dataroot_gt": "a"}), "dataroot_lq=null"),
        (lambda: check_pair({"dataroot_gt": "a", "dataroot_lq": "b", "degradation": {}}), "dataroot_lq=b: null fits"),
        (lambda: check_pair({"dataroot_gt": None, "degradation": {"kind": "area"}}), "dataroot_gt=null"),
        (lambda: check_pair({"dataroot_gt": "a", "degradation": {"kind": "area", "dose": 3.0}}), "degradation.dose=3"),
        (lambda: check_num_frame({"num_frame": 4}), "num_frame=4: an odd number fits"),
    ],
)
def test_impossible_combinations_name_key_value_and_what_fits(check, message):
    with pytest.raises(ValueError, match=message):
        check()
