import random

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import SequentialSampler

from gpemsr.compat import importable_basicsr
from gpemsr.data.degradations import degrade
from gpemsr.data.section_store import open_section_store
from gpemsr.data.section_window_dataset import SectionWindowDataset
from gpemsr.errors import InputError

with importable_basicsr():
    from basicsr.data import build_dataloader, build_dataset


def options(stores: dict, **changes) -> dict:
    return {**stores, "type": "SectionWindowDataset", "phase": "train", **changes}


def whole_lr(stores: dict) -> list[np.ndarray]:
    """The whole LR section of every item."""
    data = SectionWindowDataset(options(stores))
    return [data[i]["lq"].numpy()[data.opt.get("num_frame", 5) // 2, 0] for i in range(len(data))]


@pytest.mark.parametrize("backend", ["disk", "lmdb"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("num_frame", [3, 5])
def test_item_is_a_window_with_the_centres_hr_crop(make_stores, backend, dtype, num_frame):
    stores = make_stores(backend=backend, dtype=dtype)
    data = build_dataset(options(stores, num_frame=num_frame, gt_size=128, use_hflip=True, use_rot=True))
    item = data[1]
    assert item["lq"].shape == (num_frame, 1, 16, 16)
    assert item["gt"].shape == (1, 128, 128)
    assert item["key"] == "vol/00000001"
    assert item["lq"].min() >= 0 and item["lq"].max() <= 1
    centre = item["lq"].numpy()[num_frame // 2, 0]
    expected = degrade(item["gt"].numpy()[0], 8, "bicubic")
    np.testing.assert_allclose(centre[2:-2, 2:-2], expected[2:-2, 2:-2], atol=1.5 / 255)


def test_all_sections_of_a_window_are_shifted_alike(make_stores):
    stores = make_stores({"vol": [0, 1, 2]}, backend="lmdb")
    store = open_section_store(stores["dataroot_gt"], "lmdb")
    data = SectionWindowDataset(options(stores, num_frame=3, gt_size=128, use_shift=True))
    for _ in range(4):
        item = data[1]
        centre = store.read_float("vol", 1)
        _, _, _, (x, y) = cv2.minMaxLoc(cv2.matchTemplate(centre, item["gt"].numpy()[0], cv2.TM_CCOEFF_NORMED))
        for z, lq in enumerate(item["lq"].numpy()[:, 0]):
            expected = degrade(store.read_float("vol", z, y, x, 128, 128), 8, "bicubic")
            np.testing.assert_allclose(lq[2:-2, 2:-2], expected[2:-2, 2:-2], atol=1.5 / 255)


@pytest.mark.parametrize(
    ("index", "expected"), [(0, [0, 0, 0, 1, 2]), (1, [0, 0, 1, 2, 3]), (2, [0, 1, 2, 3, 3]), (3, [1, 2, 3, 3, 3])]
)
def test_window_holds_the_neighbours_with_gaps_skipped_and_edges_repeated(make_stores, index, expected):
    stores = make_stores({"vol": [4, 5, 9, 30]}, shape=(32, 48))
    sections = whole_lr(stores)
    window = SectionWindowDataset(options(stores))[index]["lq"].numpy()[:, 0]
    np.testing.assert_array_equal(window, np.stack([sections[i] for i in expected]))


def test_windows_do_not_cross_volumes(make_stores):
    stores = make_stores({"a": [0, 1], "b": [2, 3]}, shape=(32, 48))
    sections = whole_lr(stores)
    window = SectionWindowDataset(options(stores))[2]["lq"].numpy()[:, 0]
    np.testing.assert_array_equal(window, np.stack([sections[i] for i in (2, 2, 2, 3, 3)]))


def orders(stores: dict, **changes) -> set[tuple[int, ...]]:
    """Orders of the sections seen in 40 items in the middle of five sections, whatever crop and turn."""
    data = SectionWindowDataset(options(stores, gt_size=32, **changes))
    return {tuple(data[2]["lq"][:, 0].mean((1, 2)).argsort().tolist()) for _ in range(40)}


@pytest.fixture
def rising_stores(make_stores, tmp_path):
    """Five sections, each brighter than the one before."""
    import cv2

    stores = make_stores({"vol": [0, 1, 2, 3, 4]}, shape=(64, 64))
    for number in range(5):
        cv2.imwrite(str(tmp_path / "hr" / "vol" / f"{number}.png"), np.full((64, 64), 40 * number, np.uint8))
        cv2.imwrite(str(tmp_path / "lr" / "vol" / f"{number}.png"), np.full((8, 8), 40 * number, np.uint8))
    return stores


def test_z_is_never_flipped_unless_asked(rising_stores):
    assert orders(rising_stores, use_hflip=True, use_rot=True) == {(0, 1, 2, 3, 4)}


def test_z_is_flipped_half_of_the_time_if_asked(rising_stores):
    assert orders(rising_stores, use_zflip=True) == {(0, 1, 2, 3, 4), (4, 3, 2, 1, 0)}


def test_all_sections_of_a_window_are_turned_alike(make_stores):
    from gpemsr.data.section_sampling import Augmentation

    stores = make_stores({"vol": [0, 1, 2, 3, 4]}, shape=(128, 128))
    sections = np.stack(whole_lr(stores))
    turned = [Augmentation(h, v, t)(sections) for h in (False, True) for v in (False, True) for t in (False, True)]
    data = SectionWindowDataset(options(stores, gt_size=128, use_hflip=True, use_rot=True))
    seen = set()
    for _ in range(60):
        lq = data[2]["lq"].numpy()[:, 0]
        seen |= {i for i, sections in enumerate(turned) if np.array_equal(lq, sections)}
    assert len(seen) == 8


def test_lr_made_from_hr_gives_the_stored_windows(make_stores):
    stores = make_stores()
    made = {**stores, "dataroot_lq": None, "degradation": {"kind": "bicubic"}}
    items = []
    for keys in (stores, made):
        random.seed(5)
        items.append(SectionWindowDataset(options(keys, gt_size=64, use_rot=True))[1])
    assert torch.equal(items[0]["gt"], items[1]["gt"])
    torch.testing.assert_close(items[0]["lq"], items[1]["lq"], atol=1.01 / 255, rtol=0)


def epoch(loader) -> list[torch.Tensor]:
    return [batch["gt"] for batch in loader]


@pytest.mark.parametrize("backend", ["disk", "lmdb"])
def test_workers_and_epochs_draw_different_crops_that_the_seed_repeats(make_stores, backend):
    stores = make_stores({"vol": [0, 1, 2, 3]}, backend=backend)
    opt = options(stores, gt_size=64, num_worker_per_gpu=2, batch_size_per_gpu=1)
    data = build_dataset(opt)
    assert data[0]["lq"].shape == (5, 1, 8, 8)  # the store is open before the workers start
    runs = []
    for _ in range(2):
        torch.manual_seed(7)
        loader = build_dataloader(data, opt, num_gpu=1, sampler=SequentialSampler(data), seed=0)
        runs.append([epoch(loader), epoch(loader)])
    (first, second), (first_again, second_again) = runs
    assert all(torch.equal(a, b) for a, b in zip(first + second, first_again + second_again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_workers_draw_different_crops(make_stores, tmp_path):
    import shutil

    stores = make_stores({"vol": [0, 1]})
    for kind in ("hr", "lr"):  # two sections alike: worker 0 reads the one, worker 1 the other
        shutil.copy(tmp_path / kind / "vol" / "0.png", tmp_path / kind / "vol" / "1.png")
    opt = options(stores, gt_size=64, num_worker_per_gpu=2, batch_size_per_gpu=1)
    data = build_dataset(opt)
    one, other = epoch(build_dataloader(data, opt, num_gpu=1, sampler=SequentialSampler(data), seed=0))
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_frame": 4}, "num_frame=4: an odd number is expected"),
        ({"gt_size": 40}, "gt_size=40: a multiple of 16 is expected"),
    ],
)
def test_options_that_do_not_fit_are_refused(make_stores, changes, message):
    with pytest.raises(InputError, match=message):
        SectionWindowDataset(options(make_stores(), **changes))


def test_codes_are_not_for_windows(make_stores):
    with pytest.raises(InputError, match="codes: unknown key"):
        SectionWindowDataset(options(make_stores(), codes="codes.safetensors"))
