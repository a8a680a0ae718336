"""The windows of stage III as items of MMagic: ``inputs`` and a ``DataSample``."""

from __future__ import annotations

from typing import Any

import torch
from mmagic.registry import DATASETS
from mmagic.structures import DataSample

from gpemsr.data.section_window_dataset import SectionWindowDataset
from gpemsr.data.section_window_test_dataset import SectionWindowTestDataset


def pack(item: dict[str, Any]) -> dict[str, Any]:
    """An item of BasicSR's form in MMagic's.

    Returns:
        ``inputs``, the LR window (t, 1, h, w), and ``data_samples`` with ``gt_img``, the HR centre
        (1, r*h, r*w); both float32 in [0, 1]. All else is meta information.
    """
    sample = DataSample(metainfo={key: value for key, value in item.items() if not torch.is_tensor(value)})
    sample.set_tensor_data({"gt_img": item["gt"]})
    return {"inputs": item["lq"], "data_samples": sample}


class _Packed:
    """Takes the keys of an option file's data set as keywords, and ``scale``; gives items of MMagic."""

    phase: str
    metainfo = {"images": "sections, float32 in [0, 1]"}  # mmengine asks for some

    def __init__(self, **options: Any) -> None:
        super().__init__({"type": type(self).__name__, "phase": self.phase, **options})  # type: ignore[call-arg]

    def __getitem__(self, index: int) -> dict[str, Any]:
        return pack(super().__getitem__(index))  # type: ignore[misc]


@DATASETS.register_module(name="SectionWindowDataset")
class PackedWindows(_Packed, SectionWindowDataset):
    """:class:`~gpemsr.data.section_window_dataset.SectionWindowDataset`, for training."""

    phase = "train"


@DATASETS.register_module(name="SectionWindowTestDataset")
class PackedTestWindows(_Packed, SectionWindowTestDataset):
    """:class:`~gpemsr.data.section_window_test_dataset.SectionWindowTestDataset`, for validation."""

    phase = "val"
