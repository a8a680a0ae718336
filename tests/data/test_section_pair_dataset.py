import cv2
import numpy as np
import pytest
import torch

from gpemsr.data.degradations import degrade
from gpemsr.data.section_pair_dataset import SectionPairDataset
from gpemsr.data.section_store import open_section_store
from gpemsr.errors import InputError

MARGIN = 2  # LR pixels at the border of a crop whose bicubic kernel reaches beyond it


def options(stores: dict, **changes) -> dict:
    return {**stores, "type": "SectionPairDataset", **changes}


def inner(lq: np.ndarray) -> np.ndarray:
    return lq[..., MARGIN:-MARGIN, MARGIN:-MARGIN]


@pytest.mark.parametrize("backend", ["disk", "lmdb"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_item_holds_an_lr_and_an_hr_crop_in_unit_range(make_stores, backend, dtype):
    data = SectionPairDataset(options(make_stores(backend=backend, dtype=dtype), gt_size=64))
    item = data[3]
    assert item["lq"].shape == (1, 8, 8)
    assert item["gt"].shape == (1, 64, 64)
    for name in ("lq", "gt"):
        assert item[name].dtype == torch.float32
        assert 0 <= item[name].min() < 0.5 < item[name].max() <= 1
    assert (item["key"], item["lq_path"]) == ("vol/00000003", "vol_00000003.png")


@pytest.mark.parametrize("source", ["stored", "bicubic"])
@pytest.mark.parametrize("scale", [8, 16])
def test_lr_crop_belongs_to_the_hr_crop_however_turned(make_stores, source, scale):
    stores = make_stores({"vol": [0]}, scale=scale)
    if source == "bicubic":
        stores |= {"dataroot_lq": None, "degradation": {"kind": "bicubic"}}
    data = SectionPairDataset(options(stores, gt_size=128, use_hflip=True, use_rot=True))
    for _ in range(12):
        item = data[0]
        expected = degrade(item["gt"].numpy()[0], scale, "bicubic")
        lq = item["lq"].numpy()[0]
        np.testing.assert_allclose(inner(lq), inner(expected), atol=1.5 / 255)
        assert np.abs(inner(lq) - inner(np.roll(expected, 1, axis=1))).max() > 0.03


def lr_origins(section: np.ndarray, data: SectionPairDataset, draws: int = 12) -> set[tuple[int, int]]:
    """Where crops begin, in HR pixels modulo the scale."""
    found = set()
    for _ in range(draws):
        gt = data[0]["gt"].numpy()[0]
        _, _, _, (x, y) = cv2.minMaxLoc(cv2.matchTemplate(section, gt, cv2.TM_CCOEFF_NORMED))
        np.testing.assert_allclose(section[y : y + len(gt), x : x + len(gt)], gt, atol=1 / 255)
        found.add((y % 8, x % 8))
    return found


def test_crops_begin_between_lr_pixels_only_with_shifts(make_stores):
    stores = make_stores({"vol": [0]}, backend="lmdb")
    section = open_section_store(stores["dataroot_gt"], "lmdb").read_float("vol", 0)
    assert lr_origins(section, SectionPairDataset(options(stores, gt_size=128))) == {(0, 0)}
    assert len(lr_origins(section, SectionPairDataset(options(stores, gt_size=128, use_shift=True)))) > 6


@pytest.mark.parametrize("source", ["stored", "bicubic"])
def test_lr_between_lr_pixels_is_made_as_that_of_the_store(make_stores, source):
    stores = make_stores({"vol": [0]}, backend="lmdb")
    if source == "bicubic":
        stores |= {"dataroot_lq": None, "degradation": {"kind": "bicubic"}}
    data = SectionPairDataset(options(stores, gt_size=128, use_hflip=True, use_rot=True, use_shift=True))
    for _ in range(12):
        item = data[0]
        expected = degrade(item["gt"].numpy()[0], 8, "bicubic")
        np.testing.assert_allclose(inner(item["lq"].numpy()[0]), inner(expected), atol=1.5 / 255)


def test_shifts_of_lr_sections_of_unknown_making_are_refused(make_stores):
    with pytest.raises(InputError, match="lr: it does not record how LR was made, which use_shift needs"):
        SectionPairDataset(options(make_stores(), gt_size=64, use_shift=True))


def test_without_a_crop_size_the_item_is_the_whole_pair(make_stores):
    item = SectionPairDataset(options(make_stores({"vol": [7]}, shape=(48, 64))))[0]
    assert item["lq"].shape == (1, 6, 8)
    assert item["gt"].shape == (1, 48, 64)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gt_size": 72}, "gt_size=72: a multiple of 16 is expected"),
        ({"dataroot_lq": None}, "dataroot_lq=null"),
        ({"degradation": {"kind": "area"}}, "dataroot_lq=.*: null is expected"),
        (
            {"dataroot_lq": None, "degradation": {"kind": "blur"}},
            "degradation.kind=\"blur\": 'bicubic', 'area' or 'em' is expected",
        ),
        ({"dataroot_gt": None}, "dataroot_gt=null"),
        ({"dataroot_gt": "nowhere"}, "nowhere: no such folder"),
        ({"scale": 16}, "expected HR = scale 16 x LR"),
    ],
)
def test_options_that_do_not_fit_are_refused_in_one_line(make_stores, changes, message):
    with pytest.raises(InputError, match=message) as error:
        SectionPairDataset(options(make_stores(), **changes))
    assert "\n" not in str(error.value)


def test_of_several_degradations_each_crop_gets_one(make_stores):
    kinds = ["bicubic", "area"]
    stores = make_stores({"vol": [0]}) | {"dataroot_lq": None, "degradation": [{"kind": kind} for kind in kinds]}
    data = SectionPairDataset(options(stores, gt_size=64))
    seen = set()
    for _ in range(24):
        item = data[0]
        errors = [
            np.abs(inner(item["lq"].numpy()[0] - degrade(item["gt"].numpy()[0], 8, kind))).max() for kind in kinds
        ]
        assert min(errors) < 1.5 / 255 < max(errors)
        seen.add(kinds[int(np.argmin(errors))])
    assert seen == set(kinds)
    whole = SectionPairDataset(options(stores, gt_size=None))[0]
    np.testing.assert_allclose(whole["lq"].numpy()[0], degrade(whole["gt"].numpy()[0], 8, "bicubic"), atol=1 / 255)


def test_empty_list_of_degradations_is_refused(make_stores):
    with pytest.raises(InputError, match="degradation"):
        SectionPairDataset(options(make_stores() | {"dataroot_lq": None, "degradation": []}, gt_size=64))
