"""LR sections with their HR sections, or aligned crops of both: what stage II, the indexer, learns from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from gpemsr.compat import importable_basicsr
from gpemsr.data.lmdb_files import section_key
from gpemsr.data.section_options import PRIOR_FACTOR, PairCropOptions, check_crop, check_pair, parse_options
from gpemsr.data.section_pairs import Rectangle, SectionPairs
from gpemsr.data.section_sampling import Augmentation, WorkerRandom, image_name, random_origin, to_tensor
from gpemsr.data.stored_codes import StoredCodes

with importable_basicsr():
    from basicsr.utils.registry import DATASET_REGISTRY


class PairCrops(Dataset):
    """One item per section: a random crop of LR and HR, flipped and rotated alike.

    It is aligned to the LR grid; with ``use_shift`` it begins at any HR pixel and its LR is made there.
    """

    Options: type[PairCropOptions]

    @classmethod
    def check_options(cls, opt: Mapping[str, Any]) -> None:
        """Conditions across keys. Raises ValueError("key=value: what is expected")."""
        check_crop(opt, paired=True)
        check_pair(opt)

    def __init__(self, opt: dict[str, Any]) -> None:
        self.opt = opt
        self._options = parse_options(self.Options, opt, self.check_options)
        self._pairs = SectionPairs(self._options, self._options.gt_size, self._options.use_shift)
        self._random = WorkerRandom()
        self._codes: StoredCodes | None = None

    def __len__(self) -> int:
        return len(self._pairs.sections)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor | str]:
        volume, section = self._pairs.sections[index]
        rng, size, scale = self._random(), self._options.gt_size, self._pairs.scale
        shape = self._pairs.lq_info(volume).shape
        crop = shape if size is None else (size // scale, size // scale)
        shift = (0, 0)
        if self._options.use_shift and size is not None:
            top, left = random_origin(rng, self._pairs.gt_shape(volume), (size, size))
            origin, shift = (top // scale, left // scale), (top % scale, left % scale)
        else:
            step = 1 if self._codes is None else PRIOR_FACTOR // scale  # LR pixels
            y, x = random_origin(rng, (shape[0] // step, shape[1] // step), (crop[0] // step, crop[1] // step))
            origin = (step * y, step * x)
        rectangle = (*origin, *crop)
        augment = Augmentation.draw(rng, self._options.use_hflip, self._options.use_rot)
        several = self._pairs.num_degradations
        degradation = rng.randrange(several) if several > 1 and size is not None else 0
        name = image_name(volume, section)
        item: dict[str, torch.Tensor | str] = {
            "lq": to_tensor(augment(self._read_lq(volume, section, rectangle, shift, degradation))),
            "gt": to_tensor(augment(self._pairs.read_gt(volume, section, rectangle, shift))),
            "key": section_key(volume, section),
            "lq_path": name,
            "gt_path": name,
        }
        if self._codes is not None and size is not None:  # y and x count codes
            item["codes"] = self._codes.crop(volume, section, y, x, size // PRIOR_FACTOR, augment)
        return item

    def _read_lq(
        self, volume: str, section: int, rectangle: Rectangle, shift: tuple[int, int], degradation: int
    ) -> np.ndarray:
        return self._pairs.read_lq(volume, section, rectangle, shift, degradation)


class SectionPairOptions(PairCropOptions):
    """Option keys of :class:`SectionPairDataset`."""

    codes: str | None = None


@DATASET_REGISTRY.register()
class SectionPairDataset(PairCrops):
    """:class:`PairCrops` with ``lq`` float32 (1, h, w) and ``gt`` (1, scale * h, scale * w), both in [0, 1].

    With a file of ``codes`` crops begin at multiples of 16 HR pixels, and the item has stage I's ``codes``, int64
    (gt_size / 16, gt_size / 16).

    Args:
        opt: see :class:`SectionPairOptions` and docs/datasets.md. ``gt_size: null`` gives the whole section.

    Raises:
        InputError: a wrong option, LR and HR do not belong together or are smaller than ``gt_size``.
    """

    Options = SectionPairOptions
    _options: SectionPairOptions

    @classmethod
    def check_options(cls, opt: Mapping[str, Any]) -> None:
        """Conditions across keys. Raises ValueError("key=value: what is expected")."""
        super().check_options(opt)
        if opt.get("codes") is not None:
            if opt.get("use_shift"):
                raise ValueError("use_shift=true: expected false with codes, as crops must begin where a code does")
            if opt.get("gt_size") is None:
                raise ValueError(f"codes={opt['codes']}: expected null for whole sections (gt_size: null)")

    def __init__(self, opt: dict[str, Any]) -> None:
        super().__init__(opt)
        self.gt_store = self._pairs.gt_store
        self.augmentations = Augmentation.possible(self._options.use_hflip, self._options.use_rot)
        if self._options.codes is not None:
            self._codes = StoredCodes(self._options.codes, self.gt_store, self.augmentations)
