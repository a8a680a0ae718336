"""Whole sections for validation and test, as windows or as the whole stack, in the form of BasicSR's video models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import Dataset

from gpemsr.compat import importable_basicsr
from gpemsr.data.lmdb_files import section_key
from gpemsr.data.section_options import PairOptions, check_num_frame, check_pair, parse_options
from gpemsr.data.section_pairs import SectionPairs
from gpemsr.data.section_sampling import to_tensor, window_indices
from gpemsr.options.schema import PositiveInt

with importable_basicsr():
    from basicsr.utils.registry import DATASET_REGISTRY


class SectionWindowTestOptions(PairOptions):
    """Option keys of :class:`SectionWindowTestDataset` and :class:`SectionStackTestDataset`."""

    num_frame: PositiveInt = 5


class SectionStack:
    """The LR sections of one volume in the order of z, each read when it is asked for: (1, h, w) in [0, 1].

    Attributes:
        info: of the LR sections: their data type, grey range, voxel size.
        numbers: section numbers, ascending.
        scale: HR pixels per LR pixel, along y and x.
    """

    def __init__(self, pairs: SectionPairs, volume: str) -> None:
        self._pairs, self.volume = pairs, volume
        self.info = pairs.lq_info(volume)
        self._rectangle = (0, 0, *self.info.shape)
        self.numbers = pairs.volumes[volume]
        self.scale = pairs.scale

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> torch.Tensor:
        return to_tensor(self._pairs.read_lq(self.volume, self.numbers[index], self._rectangle))

    def window(self, indices: Sequence[int]) -> torch.Tensor:
        """Sections by their positions, (t, 1, h, w); a repeated one is read once."""
        read = {index: self[index] for index in set(indices)}
        return torch.stack([read[index] for index in indices])

    def result_entry(self) -> dict[str, Any]:
        """What ``volume.json`` says of the volume super-resolved."""
        r, size, grey = self.scale, self.info.voxel_size, self.info.grey_range
        return {
            "voxel_size": None if size is None else [size[0], size[1] / r, size[2] / r],
            "sections": list(self.numbers),
            "height": r * self.info.height,
            "width": r * self.info.width,
            "dtype": str(self.info.dtype),
            "intensity_range": [grey.low, grey.high],
        }

    def gt(self, index: int) -> torch.Tensor | None:
        """The HR section (1, scale * h, scale * w); None where there is none."""
        if not self._pairs.has_gt:
            return None
        return to_tensor(self._pairs.read_gt(self.volume, self.numbers[index], self._rectangle))


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
        stacks: the volumes' sections, by volume.
        data_info: lists over all items of ``lq_path``, ``gt_path``, ``folder``, ``idx``, ``border``.

    Raises:
        InputError: an option is invalid, or LR and HR do not belong together.
    """

    Options = SectionWindowTestOptions

    @classmethod
    def check_options(cls, opt: Mapping[str, Any]) -> None:
        """Conditions across keys. Raises ValueError("key=value: what is expected")."""
        check_pair(opt)
        check_num_frame(opt)

    def __init__(self, opt: dict[str, Any]) -> None:
        self.opt = opt
        self._options = parse_options(self.Options, opt, self.check_options)
        pairs = SectionPairs(self._options)
        self.has_gt, self.num_frame = pairs.has_gt, self._options.num_frame
        self.stacks = {volume: SectionStack(pairs, volume) for volume in pairs.volumes}
        self.folders = list(self.stacks)
        self._places = [(stack, i) for stack in self.stacks.values() for i in range(len(stack))]
        keys = [section_key(stack.volume, stack.numbers[i]) for stack, i in self._places]
        half = self.num_frame // 2
        self.data_info: dict[str, list] = {
            "lq_path": keys,
            "gt_path": list(keys),
            "folder": [stack.volume for stack, _ in self._places],
            "idx": [f"{i}/{len(stack)}" for stack, i in self._places],
            "border": [int(i < half or i >= len(stack) - half) for stack, i in self._places],
        }

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor | str | int]:
        stack, i = self._places[index]
        item = {name: self.data_info[name][index] for name in ("folder", "idx", "border", "lq_path")}
        item["key"] = item["lq_path"]
        item["lq"] = stack.window(window_indices(i, len(stack), self.num_frame))
        if (gt := stack.gt(i)) is not None:
            item["gt"] = gt
        return item


@DATASET_REGISTRY.register()
class SectionStackTestDataset(SectionWindowTestDataset):
    """One item per volume, for BasicSR's ``VideoRecurrentModel``: all its sections at once, in memory.

    An item: ``lq`` float32 (n, 1, h, w), ``gt`` (n, 1, scale * h, scale * w) unless ``dataroot_gt`` is null, and
    ``folder``, the volume. ``num_frame`` decides on ``data_info["border"]`` alone.
    """

    def __len__(self) -> int:
        return len(self.folders)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor | str | int]:
        stack = self.stacks[self.folders[index]]
        every = range(len(stack))
        item: dict[str, torch.Tensor | str | int] = {"folder": stack.volume, "lq": stack.window(every)}
        if self.has_gt:
            item["gt"] = torch.stack([gt for i in every if (gt := stack.gt(i)) is not None])
        return item
