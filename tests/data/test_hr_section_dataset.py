import numpy as np
import pytest
import torch

from gpemsr.data.hr_section_dataset import HRSectionDataset
from gpemsr.errors import InputError


def options(stores: dict, **changes) -> dict:
    keys = {key: value for key, value in stores.items() if key not in ("dataroot_lq", "scale")}
    return {**keys, "type": "HRSectionDataset", **changes}


@pytest.mark.parametrize("backend", ["disk", "lmdb"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_item_is_a_crop_in_unit_range(make_stores, backend, dtype):
    data = HRSectionDataset(
        options(make_stores(backend=backend, dtype=dtype), gt_size=64, use_hflip=True, use_rot=True)
    )
    assert len(data) == 4
    item = data[2]
    assert item["gt"].shape == (1, 64, 64)
    assert item["gt"].dtype == torch.float32
    assert 0 <= item["gt"].min() < 0.4 and 0.6 < item["gt"].max() <= 1
    assert item["key"] == "vol/00000002"
    assert item["gt_path"] == item["lq_path"] == "vol_00000002.png"


def test_without_a_crop_size_the_item_is_the_whole_section(make_stores):
    data = HRSectionDataset(options(make_stores({"vol": [3]}, shape=(40, 56))))
    gt = data[0]["gt"]
    assert gt.shape == (1, 40, 56)
    assert gt.min() == 0 and gt.max() == 1


def test_crops_differ_from_call_to_call(make_stores):
    data = HRSectionDataset(options(make_stores(), gt_size=64))
    assert len({data[0]["gt"].numpy().tobytes() for _ in range(8)}) > 4


def test_all_volumes_and_sections_are_there_once(make_stores):
    data = HRSectionDataset(options(make_stores({"a": [1, 5], "b": [2]}, shape=(32, 32))))
    assert [data[i]["key"] for i in range(len(data))] == ["a/00000001", "a/00000005", "b/00000002"]


def test_crop_without_augmentation_is_a_part_of_the_section(make_stores):
    stores = make_stores({"vol": [0]})
    whole = HRSectionDataset(options(stores))[0]["gt"].numpy()[0]
    crop = HRSectionDataset(options(stores, gt_size=64))[0]["gt"].numpy()[0]
    windows = np.lib.stride_tricks.sliding_window_view(whole, (64, 64))
    assert (windows[..., 0, :] == crop[0]).all(-1).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gt_size": 100}, "data set test: gt_size=100: a multiple of 16 is expected"),
        ({"gt_size": 320}, "expected gt_size <= 192"),
        ({"gt_size": "large"}, 'gt_size="large"'),
        ({"use_flip": True}, "use_flip"),
        ({"io_backend": {"type": "hdf5"}}, 'io_backend.type="hdf5"'),
    ],
)
def test_options_that_do_not_fit_are_refused_in_one_line(make_stores, changes, message):
    with pytest.raises(InputError, match=message) as error:
        HRSectionDataset(options(make_stores(), **changes))
    assert "\n" not in str(error.value)
