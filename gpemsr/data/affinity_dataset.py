"""Crops of a volume with the affinities of its neurons: what a network for segmentation learns from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch.utils.data import Dataset

from gpemsr.compat import importable_basicsr
from gpemsr.data.affinities import affinities_of, affinity_mask, section_regions
from gpemsr.data.grey_values import GreyRange, choose_range
from gpemsr.data.section_options import parse_options
from gpemsr.data.section_sampling import Augmentation, WorkerRandom
from gpemsr.data.volumes.ids import CREMI_IDS, open_ids, unsigned_ids
from gpemsr.data.volumes.reader import open_volume
from gpemsr.errors import InputError
from gpemsr.options.schema import LoaderOptions, NonNegativeInt, PositiveInt

with importable_basicsr():
    from basicsr.utils.registry import DATASET_REGISTRY

Share = Annotated[float, Field(ge=0, lt=1)]


class AffinityOptions(LoaderOptions):
    """Option keys of :class:`AffinityDataset`."""

    dataroot_raw: str | list[str]
    dataroot_ids: str | list[str] | None = None
    ids_dataset: str = CREMI_IDS
    sections: Annotated[list[NonNegativeInt], Field(min_length=2, max_length=2)] | None = None
    on_missing: Literal["refuse", "replace", "keep"] = "refuse"
    range: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    every: PositiveInt = 1
    crop_size: Annotated[list[PositiveInt], Field(min_length=3, max_length=3)] | None = None
    labels: Literal["neurons", "membranes"] = "neurons"
    background: Literal["boundary", "ignore"] = "boundary"
    use_hflip: bool = False
    use_rot: bool = False
    use_zflip: bool = False
    contrast: Share = 0.0
    brightness: Share = 0.0


@DATASET_REGISTRY.register()
class AffinityDataset(Dataset):
    """Random crops: ``lq`` (1, z, y, x) in [0, 1], ``gt`` and ``mask`` (3, z, y, x), all float32.

    ``gt`` holds the affinities of :func:`gpemsr.data.affinities.affinities_of`, ``mask`` which of them count. With
    ``crop_size: null`` an item is a whole volume and has its ids too: ``ids`` (z, y, x) int64. An epoch has as many
    items as there are disjoint crops. The volumes are held in memory.

    With ``labels: membranes`` the ids are the regions that membranes enclose in each section
    (:func:`gpemsr.data.affinities.section_regions`), and affinities along z are unknown.

    Args:
        opt: see :class:`AffinityOptions` and docs/datasets.md.

    Attributes:
        by_section: whether ids have nothing to do with those of the next section.

    Raises:
        InputError: a wrong option, raw and ids do not belong together or are smaller than ``crop_size``.
    """

    Options = AffinityOptions

    @classmethod
    def check_options(cls, opt: Mapping[str, Any]) -> None:
        """Conditions across keys. Raises ValueError("key=value: what is expected")."""
        raw, ids, sections = opt["dataroot_raw"], opt.get("dataroot_ids"), opt.get("sections")
        if not raw:
            raise ValueError(f"dataroot_raw={raw}: one file or more")
        if ids is not None and len(_listed(ids)) != len(_listed(raw)):
            raise ValueError(f"dataroot_ids={ids}: one file for each of dataroot_raw, or null (the same HDF5 files)")
        if sections and sections[0] >= sections[1]:
            raise ValueError(f"sections={sections}: the first section and the one after the last")
        if opt.get("labels") == "membranes" and opt.get("background") == "ignore":
            raise ValueError("background=ignore: expected boundary, as labels=membranes are what is learned")
        if opt.get("crop_size") is None:
            for key in ("use_hflip", "use_rot", "use_zflip", "contrast", "brightness"):
                if opt.get(key):
                    raise ValueError(f"{key}={opt[key]}: whole volumes (crop_size: null) are not augmented")
        elif opt.get("use_rot") and opt["crop_size"][1] != opt["crop_size"][2]:
            raise ValueError(f"crop_size={opt['crop_size']}: expected equal y and x with use_rot")

    def __init__(self, opt: dict[str, Any]) -> None:
        self.opt = opt
        self._options = options = parse_options(self.Options, opt, self.check_options)
        raws = _listed(options.dataroot_raw)
        self.by_section = options.labels == "membranes"
        self.names = [Path(path).stem for path in raws]
        self._volumes = [
            self._read(raw, ids) for raw, ids in zip(raws, _listed(options.dataroot_ids or raws), strict=True)
        ]
        self._items = [
            volume
            for volume, (_, ids, _) in enumerate(self._volumes)
            for _ in range(self._count(ids.shape, raws[volume]))
        ]
        self._random = WorkerRandom()

    def _read(self, raw_path: str, ids_path: str) -> tuple[np.ndarray, np.ndarray, GreyRange]:
        options = self._options
        with (
            open_volume(raw_path, on_missing=options.on_missing) as volume,
            open_ids(ids_path, options.ids_dataset) as labels,
        ):
            if labels.shape != volume.shape:
                raise InputError(
                    f"{ids_path}: ids {labels.shape} of {raw_path} {volume.shape}; expected the same shape"
                )
            start, stop = options.sections or (0, volume.shape[0])
            if stop > volume.shape[0]:
                raise InputError(f"{raw_path}: {volume.shape[0]} sections, too few for sections={options.sections}")
            chosen = range(start, stop, options.every if options.crop_size is None else 1)  # crops begin at any section
            raw, ids = volume.read(chosen), unsigned_ids(labels.read(chosen), ids_path)
        observed = float(raw.min()), float(raw.max())
        grey_range = choose_range(
            None if options.range is None else GreyRange(*options.range), raw.dtype, observed, lambda: [raw], raw_path
        )
        grey_range.warn_if_unused(*observed, raw_path)
        if self.by_section:
            ids = section_regions(ids)
        if not ids.any():
            raise InputError(f"{ids_path}: 0 everywhere, no {'inside of membranes' if self.by_section else 'neuron'}")
        if self.by_section and ids.all():
            raise InputError(f"{ids_path}: 0 nowhere, no membrane (labels=membranes)")
        return raw, ids, grey_range

    def _count(self, shape: tuple[int, ...], path: str) -> int:
        crop = self._options.crop_size
        if crop is None:
            return 1
        shape = (-(-shape[0] // self._options.every), *shape[1:])
        if any(size > whole for size, whole in zip(crop, shape, strict=True)):
            raise InputError(f"{path}: crop_size={crop} ; expected at most {shape} voxels (z, y, x)")
        return math.prod(whole // size for size, whole in zip(crop, shape, strict=True))

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor | str]:
        raw, ids, grey_range = self._volumes[self._items[index]]
        if self._options.crop_size is not None:
            raw, ids = self._crop(raw, ids)
        grey = grey_range.to_unit(raw)
        item: dict[str, torch.Tensor | str] = {
            "lq": torch.from_numpy(self._change_grey(grey)[None]),
            "gt": torch.from_numpy(affinities_of(ids)),
            "mask": torch.from_numpy(affinity_mask(ids, self._options.background == "ignore", not self.by_section)),
            "lq_path": self.names[self._items[index]],
        }
        if self._options.crop_size is None:
            item["ids"] = torch.from_numpy(np.unique(ids, return_inverse=True)[1].reshape(ids.shape) + (ids.min() > 0))
        return item

    def _crop(self, raw: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A random crop, flipped and rotated; ids first, affinities after, so that they point the right way."""
        options, rng = self._options, self._random()
        depth, height, width = options.crop_size or ids.shape
        extent = ((depth - 1) * options.every + 1, height, width)
        starts = [rng.randint(0, whole - size) for size, whole in zip(extent, ids.shape, strict=True)]
        crop = tuple(
            slice(start, start + size, step)
            for start, size, step in zip(starts, extent, (options.every, 1, 1), strict=True)
        )
        turn = Augmentation.draw(rng, options.use_hflip, options.use_rot)
        step = -1 if options.use_zflip and rng.random() < 0.5 else 1
        return (np.ascontiguousarray(turn(raw[crop][::step])), np.ascontiguousarray(turn(ids[crop][::step])))

    def _change_grey(self, grey: np.ndarray) -> np.ndarray:
        """Contrast by a factor of 1 +- ``contrast`` about the mean, brightness by +- ``brightness``."""
        options = self._options
        if not options.contrast and not options.brightness:
            return grey
        rng = self._random()
        factor = 1 + rng.uniform(-options.contrast, options.contrast)
        shift = rng.uniform(-options.brightness, options.brightness)
        mean = grey.mean()
        return np.clip((grey - mean) * np.float32(factor) + mean + np.float32(shift), 0, 1)


def _listed(paths: str | list[str]) -> list[str]:
    return [paths] if isinstance(paths, str) else paths
