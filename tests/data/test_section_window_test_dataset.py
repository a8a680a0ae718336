from collections import Counter

import numpy as np
import pytest
import torch

import gpemsr
from gpemsr.compat import importable_basicsr
from gpemsr.data.section_window_test_dataset import SectionStackTestDataset, SectionWindowTestDataset
from gpemsr.errors import InputError

with importable_basicsr():
    from basicsr.data import build_dataloader, build_dataset
    from basicsr.utils.registry import ARCH_REGISTRY, MODEL_REGISTRY

NUMBERS = {"a": [3, 4, 8], "b": [0, 1, 2, 3, 4, 5]}


def options(stores: dict, **changes) -> dict:
    return {**stores, "type": "SectionWindowTestDataset", "phase": "val", **changes}


@pytest.mark.parametrize("backend", ["disk", "lmdb"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_every_section_is_there_whole_in_its_window(make_stores, backend, dtype):
    data = build_dataset(options(make_stores(NUMBERS, (48, 64), dtype, backend=backend)))
    assert len(data) == 9
    items = [data[i] for i in range(9)]
    centres = [item["lq"][2] for item in items]
    for item in items:
        assert item["lq"].shape == (5, 1, 6, 8)
        assert item["gt"].shape == (1, 48, 64)
        assert item["lq"].dtype == item["gt"].dtype == torch.float32
    assert torch.equal(items[0]["lq"], torch.stack([centres[i] for i in (0, 0, 0, 1, 2)]))
    assert torch.equal(items[5]["lq"], torch.stack([centres[i] for i in (3, 4, 5, 6, 7)]))
    assert torch.equal(items[8]["lq"], torch.stack([centres[i] for i in (6, 7, 8, 8, 8)]))


def test_items_and_data_info_are_those_of_basicsrs_video_test_data_set(make_stores):
    data = SectionWindowTestDataset(options(make_stores(NUMBERS, (48, 64))))
    assert data.folders == ["a", "b"]
    assert Counter(data.data_info["folder"]) == {"a": 3, "b": 6}
    assert data.data_info["idx"] == ["0/3", "1/3", "2/3", "0/6", "1/6", "2/6", "3/6", "4/6", "5/6"]
    assert data.data_info["border"] == [1, 1, 1, 1, 1, 0, 0, 1, 1]
    assert data.data_info["lq_path"][2] == "a/00000008"
    for index in range(len(data)):
        for name in ("folder", "idx", "border", "lq_path"):
            assert data[index][name] == data.data_info[name][index]


def test_lr_alone_has_no_gt(make_stores):
    stores = {**make_stores({"vol": [0, 1]}, (48, 64)), "dataroot_gt": None}
    for kind in (SectionWindowTestDataset, SectionStackTestDataset):
        item = kind(options(stores))[0]
        assert "gt" not in item
        assert item["lq"].shape[-3:] == (1, 6, 8)


def test_lr_made_from_hr_is_the_stored_one(make_stores):
    stores = make_stores({"vol": [0, 1]}, (48, 64))
    made = {**stores, "dataroot_lq": None, "degradation": {"kind": "bicubic"}}
    stored, made = (SectionWindowTestDataset(options(keys))[1]["lq"] for keys in (stores, made))
    torch.testing.assert_close(stored, made, atol=1.01 / 255, rtol=0)


def test_stack_item_is_the_whole_volume(make_stores):
    data = build_dataset(options(make_stores(NUMBERS, (48, 64)), type="SectionStackTestDataset"))
    assert len(data) == 2
    item = data[1]
    assert item["folder"] == "b"
    assert item["lq"].shape == (6, 1, 6, 8)
    assert item["gt"].shape == (6, 1, 48, 64)
    assert len({section.numpy().tobytes() for section in item["gt"]}) == 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_frame": 2}, "num_frame=2: an odd number is expected"),
        ({"dataroot_gt": None, "dataroot_lq": None}, "dataroot_lq=null"),
        ({"dataroot_gt": None, "dataroot_lq": None, "degradation": {"kind": "area"}}, "dataroot_gt=null"),
        ({"gt_size": 64}, "gt_size"),
    ],
)
def test_options_that_do_not_fit_are_refused(make_stores, changes, message):
    with pytest.raises(InputError, match=message):
        SectionWindowTestDataset(options(make_stores(), **changes))


class CentreUpsampling(torch.nn.Module):
    """Bicubic x8 of the centre section (window) or of every section (stack)."""

    def __init__(self, stack: bool):
        super().__init__()
        self.stack = stack
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, lq: torch.Tensor) -> torch.Tensor:
        sections = lq[0] if self.stack else lq[:, lq.shape[1] // 2]
        sections = torch.nn.functional.interpolate(sections, scale_factor=8, mode="bicubic").clamp(0, 1)
        return sections[None] if self.stack else sections


@pytest.mark.parametrize(
    ("model", "kind"),
    [("VideoBaseModel", "SectionWindowTestDataset"), ("VideoRecurrentModel", "SectionStackTestDataset")],
)
def test_basicsrs_video_models_validate_on_it(make_stores, monkeypatch, model, kind):
    monkeypatch.setitem(ARCH_REGISTRY._obj_map, "CentreUpsampling", CentreUpsampling)
    gpemsr.register()
    opt = options(make_stores(NUMBERS, (96, 128)), type=kind)
    network = MODEL_REGISTRY.get(model)(
        {
            "num_gpu": 0,
            "dist": False,
            "is_train": False,
            "rank": 0,
            "path": {},
            "network_g": {"type": "CentreUpsampling", "stack": kind == "SectionStackTestDataset"},
            "val": {"metrics": {"psnr": {"type": "calculate_psnr", "crop_border": 0}}},
        }
    )
    data = build_dataset(opt)
    network.validation(build_dataloader(data, opt), 1, None, False)
    assert {folder: len(values) for folder, values in network.metric_results.items()} == {"a": 3, "b": 6}
    psnr = np.concatenate([values.numpy().ravel() for values in network.metric_results.values()])
    assert (psnr > 20).all()
