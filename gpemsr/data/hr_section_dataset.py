"""HR sections or crops of them: what stage I, the VQGAN, learns from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils.data import Dataset

from gpemsr.compat import importable_basicsr
from gpemsr.data.lmdb_files import section_key
from gpemsr.data.section_options import CropOptions, check_crop, parse_options
from gpemsr.data.section_pairs import check_crop_fits
from gpemsr.data.section_sampling import Augmentation, WorkerRandom, image_name, random_origin, to_tensor
from gpemsr.data.section_store import open_section_store

with importable_basicsr():
    from basicsr.utils.registry import DATASET_REGISTRY


class HRSectionOptions(CropOptions):
    """Option keys of :class:`HRSectionDataset`."""

    dataroot_gt: str


@DATASET_REGISTRY.register()
class HRSectionDataset(Dataset):
    """One item per section: ``gt`` float32 (1, gt_size, gt_size) in [0, 1], a random crop, flipped and rotated.

    Args:
        opt: see :class:`HRSectionOptions` and docs/datasets.md. ``gt_size: null`` gives the whole section.
    Raises:
        InputError: a wrong option, the sections are absent or smaller than ``gt_size``.
    """

    Options = HRSectionOptions

    @classmethod
    def check_options(cls, opt: Mapping[str, Any]) -> None:
        """Conditions across keys. Raises ValueError("key=value: what is expected")."""
        check_crop(opt, paired=False)

    def __init__(self, opt: dict[str, Any]) -> None:
        self.opt = opt
        self._options = parse_options(self.Options, opt, self.check_options)
        self._store = open_section_store(self._options.dataroot_gt, **self._options.io_backend.arguments)
        check_crop_fits(self._options.gt_size, self._store)
        self.sections = [(name, z) for name, info in self._store.volumes.items() for z in info.sections]
        self._random = WorkerRandom()

    def __len__(self) -> int:
        return len(self.sections)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor | str]:
        volume, section = self.sections[index]
        info, size, rng = self._store.volumes[volume], self._options.gt_size, self._random()
        height, width = info.shape if size is None else (size, size)
        y, x = random_origin(rng, info.shape, (height, width))
        augment = Augmentation.draw(rng, self._options.use_hflip, self._options.use_rot)
        gt = augment(self._store.read_float(volume, section, y, x, height, width))
        name = image_name(volume, section)
        return {"gt": to_tensor(gt), "key": section_key(volume, section), "gt_path": name, "lq_path": name}
