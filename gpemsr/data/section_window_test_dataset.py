"""Whole sections for validation and test, as windows or as the whole stack, in the form of BasicSR's video models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from gpemsr.compat import importable_basicsr
from gpemsr.data.section_options import PairOptions, check_num_frame, check_pair, parse_options
from gpemsr.data.section_pairs import SectionPairs
from gpemsr.data.section_sampling import section_key, to_tensor
from gpemsr.options.schema import PositiveInt

with importable_basicsr():
    from basicsr.utils.registry import DATASET_REGISTRY


class SectionWindowTestOptions(PairOptions):
    """Option keys of :class:`SectionWindowTestDataset` and :class:`SectionStackTestDataset`."""

    num_frame: PositiveInt = 5


@DATASET_REGISTRY.register()
class SectionWindowTestDataset(Dataset):
    """Every section, whole, in the middle of its window; for BasicSR's ``VideoBaseModel`` and our models.

    An item: ``lq`` float32 (num_frame, 1, h, w) in [0, 1], the edge section repeated beyond the ends; ``gt``
    (1, scale * h, scale * w), absent if ``dataroot_gt`` is null (BasicSR's own video models need it); ``folder``,
    the volume; ``idx`` "i/n", i-th of the volume's n sections; ``border``, 1 if sections are repeated, else 0;
    ``key`` and ``lq_path`` "<volume>/<section:08d>".

    Args:
        opt: see :class:`SectionWindowTestOptions` and docs/datasets.md.

    Attributes:
        data_info: lists over all items of ``lq_path``, ``gt_path``, ``folder``, ``idx``, ``border``.
        folders: the volumes.

    Raises:
        InputError: an option does not fit, or LR and HR do not belong together.
    """

    Options = SectionWindowTestOptions

    @classmethod
    def check_options(cls, opt: Mapping[str, Any]) -> None:
        """Conditions across keys. Raises ValueError("key=value: what fits")."""
        check_pair(opt)
        check_num_frame(opt)

    def __init__(self, opt: dict[str, Any]) -> None:
        self.opt = opt
        self._options = parse_options(self.Options, opt, self.check_options)
        self._pairs = SectionPairs(self._options)
        self.folders = list(self._pairs.volumes)
        self.data_info: dict[str, list] = {"lq_path": [], "gt_path": [], "folder": [], "idx": [], "border": []}
        half = self._options.num_frame // 2
        for volume, sections in self._pairs.volumes.items():
            for i, section in enumerate(sections):
                key = section_key(volume, section)
                self.data_info["lq_path"].append(key)
                self.data_info["gt_path"].append(key)
                self.data_info["folder"].append(volume)
                self.data_info["idx"].append(f"{i}/{len(sections)}")
                self.data_info["border"].append(int(i < half or i >= len(sections) - half))

    def __len__(self) -> int:
        return len(self._pairs.sections)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor | str | int]:
        volume, section = self._pairs.sections[index]
        rectangle = (0, 0, *self._pairs.lq_shape(volume))
        window = self._pairs.window(volume, section, self._options.num_frame)
        key = section_key(volume, section)
        item = {
            "lq": to_tensor(self._pairs.read_lq_sections(volume, window, rectangle)),
            "folder": volume,
            "idx": self.data_info["idx"][index],
            "border": self.data_info["border"][index],
            "key": key,
            "lq_path": key,
        }
        if self._pairs.has_gt:
            item["gt"] = to_tensor(self._pairs.read_gt(volume, section, *rectangle))
        return item


@DATASET_REGISTRY.register()
class SectionStackTestDataset(SectionWindowTestDataset):
    """One item per volume, for BasicSR's ``VideoRecurrentModel``: all its sections at once, in memory.

    An item: ``lq`` float32 (n, 1, h, w), ``gt`` (n, 1, scale * h, scale * w) unless ``dataroot_gt`` is null, and
    ``folder``, the volume. ``num_frame`` only tells ``data_info["border"]``.
    """

    def __len__(self) -> int:
        return len(self.folders)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor | str | int]:
        volume = self.folders[index]
        rectangle = (0, 0, *self._pairs.lq_shape(volume))
        sections = list(self._pairs.volumes[volume])
        item: dict[str, torch.Tensor | str | int] = {"folder": volume}
        item["lq"] = to_tensor(self._pairs.read_lq_sections(volume, sections, rectangle))
        if self._pairs.has_gt:
            item["gt"] = to_tensor(np.stack([self._pairs.read_gt(volume, z, *rectangle) for z in sections]))
        return item
