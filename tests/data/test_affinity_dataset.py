"""Crops with affinities."""

import random

import h5py
import numpy as np
import pytest
import tifffile
import torch

from gpemsr.data.affinities import affinities_of, affinity_mask, section_regions
from gpemsr.data.affinity_dataset import AffinityDataset
from gpemsr.errors import InputError

SHAPE = (8, 20, 24)


@pytest.fixture(scope="module")
def volume() -> tuple[np.ndarray, np.ndarray]:
    """Raw whose grey value gives the id, so that pairs can be recognised after any turn."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 4, (4, 5, 6)).repeat(2, 0).repeat(4, 1).repeat(4, 2).astype(np.uint64)
    return (ids * 60).astype(np.uint8), ids * np.uint64(2**40)


@pytest.fixture
def files(tmp_path, volume) -> dict[str, str]:
    raw, ids = volume
    tifffile.imwrite(tmp_path / "raw.tif", raw, photometric="minisblack")
    tifffile.imwrite(tmp_path / "ids.tif", ids, photometric="minisblack")
    with h5py.File(tmp_path / "v.hdf", "w") as file:
        file["volumes/raw"], file["volumes/labels/neuron_ids"] = raw, ids
    return {name: str(tmp_path / name) for name in ("raw.tif", "ids.tif", "v.hdf")}


def dataset(files, kind="tif", **changes) -> AffinityDataset:
    paths = {"dataroot_raw": files["v.hdf"]}
    if kind == "tif":
        paths = {"dataroot_raw": files["raw.tif"], "dataroot_ids": files["ids.tif"]}
    return AffinityDataset({"name": "D", "type": "AffinityDataset", **paths, **changes})


def test_an_affinity_joins_a_voxel_with_the_one_before_it_if_both_have_one_id_other_than_0():
    ids = np.array([[[1, 1, 2, 0, 0]], [[1, 2, 2, 0, 1]]])
    affinities = affinities_of(ids)
    assert affinities.shape == (3, 2, 1, 5)
    assert affinities[0].tolist() == [[[0, 0, 0, 0, 0]], [[1, 0, 1, 0, 0]]]
    assert not affinities[1].any()
    assert affinities[2].tolist() == [[[0, 1, 0, 0, 0]], [[0, 0, 1, 0, 0]]]


def test_the_mask_leaves_out_what_has_no_voxel_before_it_and_on_demand_the_id_0():
    ids = np.array([[[1, 1, 2, 0, 0]], [[1, 2, 2, 0, 1]]])
    assert affinity_mask(ids, False)[2].tolist() == [[[0, 1, 1, 1, 1]]] * 2
    assert affinity_mask(ids, True)[2].tolist() == [[[0, 1, 1, 0, 0]]] * 2
    assert affinity_mask(ids, True)[0].tolist() == [[[0] * 5], [[1, 1, 1, 0, 0]]]


def test_without_what_is_across_sections_the_mask_has_only_y_and_x():
    ids = np.ones((2, 2, 2), int)
    mask = affinity_mask(ids, False, across_sections=False)
    assert not mask[0].any()
    np.testing.assert_array_equal(mask[1:], affinity_mask(ids, False)[1:])


def test_regions_are_pixels_of_one_value_that_touch_by_their_sides_in_one_section():
    image = np.array([[[255, 255, 0, 255], [0, 0, 255, 0]], [[7, 7, 9, 7], [0, 7, 9, 9]]], np.uint8)
    assert section_regions(image).tolist() == [[[1, 1, 0, 2], [0, 0, 3, 0]], [[4, 4, 5, 6], [0, 4, 5, 5]]]


@pytest.mark.parametrize("inside", [255, 2**63])
def test_labelled_membranes_give_regions_and_no_affinities_across_sections(tmp_path, files, inside):
    membranes = np.full(SHAPE, inside, np.uint64)
    membranes[:, 9] = membranes[:, :, 11] = 0
    tifffile.imwrite(tmp_path / "ids.tif", membranes, photometric="minisblack")
    data = dataset(files, labels="membranes")
    assert data.by_section
    item = data[0]
    assert item["ids"].unique().tolist() == list(range(4 * SHAPE[0] + 1))
    assert not item["mask"][0].any()
    assert not item["gt"][0].any()
    np.testing.assert_array_equal(item["gt"][1:].numpy(), affinities_of(membranes)[1:])
    assert item["mask"][1:, :, 1:, 1:].all()
    crop = dataset(files, labels="membranes", crop_size=[4, 12, 12], use_zflip=True)[0]
    assert not crop["mask"][0].any()


@pytest.mark.parametrize(("value", "message"), [(0, "0 everywhere"), (255, "0 nowhere, no membrane")])
def test_an_image_without_membranes_or_without_anything_else_is_refused(tmp_path, files, value, message):
    tifffile.imwrite(tmp_path / "ids.tif", np.full(SHAPE, value, np.uint8), photometric="minisblack")
    with pytest.raises(InputError, match=rf"ids\.tif: {message}"):
        dataset(files, labels="membranes")


@pytest.mark.parametrize("kind", ["tif", "hdf5"])
def test_a_whole_volume_is_read_from_tiff_and_hdf5(files, volume, kind):
    (item,) = (dataset(files, kind)[i] for i in range(1))
    raw, ids = volume
    torch.testing.assert_close(item["lq"], torch.from_numpy(raw / np.float32(255))[None])
    torch.testing.assert_close(item["gt"], torch.from_numpy(affinities_of(ids)))
    assert item["ids"].dtype == torch.int64
    np.testing.assert_array_equal(item["ids"].numpy(), np.searchsorted(np.unique(ids), ids))


def test_sections_and_every_choose_sections(files, volume):
    item = dataset(files, sections=[1, 8], every=3)[0]
    np.testing.assert_array_equal((item["lq"][0] * 255).round().numpy(), volume[0][[1, 4, 7]])


def test_crops_of_every_kth_section_begin_at_any_section(files, volume):
    random.seed(0)
    data = dataset(files, crop_size=[2, 20, 24], every=3)
    assert len(data) == 1
    crops = {(data[0]["lq"][0] * 255).round().numpy().astype(np.uint8).tobytes() for _ in range(60)}
    assert crops == {volume[0][[z, z + 3]].tobytes() for z in range(SHAPE[0] - 3)}


@pytest.mark.parametrize("background", ["boundary", "ignore"])
def test_crops_are_turned_together_with_their_affinities(files, background):
    random.seed(0)
    crops = dataset(files, crop_size=[4, 12, 12], background=background, use_hflip=True, use_rot=True, use_zflip=True)
    assert len(crops) == 2 * 1 * 2
    seen = set()
    for _ in range(20):
        item = crops[0]
        ids = (item["lq"][0] * 255 / 60).round().numpy().astype(int)
        np.testing.assert_array_equal(item["gt"].numpy(), affinities_of(ids))
        np.testing.assert_array_equal(item["mask"].numpy(), affinity_mask(ids, background == "ignore"))
        assert item["lq"].shape == (1, 4, 12, 12)
        assert "ids" not in item
        seen.add(ids.tobytes())
    assert len(seen) > 10


def test_grey_values_change_but_not_affinities(files):
    random.seed(0)
    whole = [8, 20, 24]
    plain = dataset(files, crop_size=whole)[0]
    changed = dataset(files, crop_size=whole, contrast=0.3, brightness=0.2)[0]
    assert torch.equal(plain["gt"], changed["gt"])
    assert 0.01 < (plain["lq"] - changed["lq"]).abs().mean() < 0.4
    assert changed["lq"].min() >= 0
    assert changed["lq"].max() <= 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop_size": [9, 8, 8]}, "crop_size"),
        ({"crop_size": [4, 8]}, "crop_size"),
        ({"crop_size": [4, 8, 12], "use_rot": True}, "crop_size"),
        ({"sections": [3, 3]}, "sections"),
        ({"sections": [0, 9]}, "sections"),
        ({"contrast": 0.1}, "contrast=0.1: whole volumes"),
        ({"dataroot_ids": ["a", "b"]}, "dataroot_ids"),
        ({"background": "other"}, "background"),
        ({"labels": "other"}, "labels"),
        ({"labels": "membranes", "background": "ignore"}, "background=ignore: expected boundary, as labels=membranes"),
    ],
)
def test_a_wrong_option_is_named(files, changes, message):
    with pytest.raises(InputError, match=message) as refused:
        dataset(files, **changes)
    assert "\n" not in str(refused.value)


def test_ids_of_another_number_of_sections_are_refused(tmp_path, files, volume):
    tifffile.imwrite(tmp_path / "ids.tif", np.concatenate([volume[1][:1], volume[1]]), photometric="minisblack")
    with pytest.raises(InputError, match=r"ids\.tif: ids \(9, 20, 24\) of .* \(8, 20, 24\); expected the same shape"):
        dataset(files, sections=[0, 8])


def test_blank_sections_are_refused_replaced_or_kept(tmp_path, files, volume):
    raw = volume[0].copy()
    raw[3] = 0
    tifffile.imwrite(tmp_path / "raw.tif", raw, photometric="minisblack")
    with pytest.raises(InputError, match="section 3 is missing or blank"):
        dataset(files)
    assert torch.equal(*dataset(files, on_missing="replace")[0]["lq"][0, 2:4])
    assert not dataset(files, on_missing="keep")[0]["lq"][0, 3].any()


def test_signed_grey_values_need_a_range(tmp_path, files, volume):
    tifffile.imwrite(tmp_path / "raw.tif", volume[0].astype(np.int16) - 100, photometric="minisblack")
    with pytest.raises(InputError, match=r"int16 voxels; .*--range"):
        dataset(files)
    found = dataset(files, range=[-100, 80])[0]["lq"][0].numpy()
    np.testing.assert_allclose(found, volume[0] / 180, atol=1e-6)
