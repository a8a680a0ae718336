"""LR and HR sections that belong together, from two stores or from HR and a degradation; and their options."""

from __future__ import annotations

import math
import zlib
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import Field, ValidationError

from gpemsr.data.degradations import EM_DEFAULTS, check_degradation, degrade
from gpemsr.data.section_sampling import window_indices
from gpemsr.data.section_store import SectionStore, VolumeInfo, open_section_store
from gpemsr.errors import InputError
from gpemsr.schema import DatasetOptions, NonNegativeFloat, NonNegativeInt, OptionSection, PositiveInt

PRIOR_FACTOR = 16  # HR pixels per latent vector of the prior (stage I), along y and x


class DegradationOptions(OptionSection):
    """LR made from HR as it is read; see :func:`gpemsr.data.degradations.degrade`."""

    kind: Literal["bicubic", "area", "em"]
    seed: NonNegativeInt = 0
    # of kind em
    dose: Annotated[float, Field(gt=0)] = EM_DEFAULTS["dose"]
    read_noise: NonNegativeFloat = EM_DEFAULTS["read_noise"]
    blur: NonNegativeFloat = EM_DEFAULTS["blur"]

    @property
    def parameters(self) -> dict[str, float]:
        """What ``degrade`` takes beside kind and seed."""
        return {"dose": self.dose, "read_noise": self.read_noise, "blur": self.blur}

    @property
    def context(self) -> int:
        """LR pixels around a crop that decide on its values: twice bicubic's 2, or where the blur is cut off."""
        return max(4, math.ceil(4 * self.blur) + 1)


class CropOptions(DatasetOptions):
    """Keys of the data sets that crop and augment. ``gt_size: null`` gives whole sections."""

    gt_size: PositiveInt | None = None
    use_hflip: bool = False
    use_rot: bool = False


class PairKeys(OptionSection):
    """Keys that say where LR and HR come from: exactly one of ``dataroot_lq`` and ``degradation``."""

    dataroot_gt: str
    dataroot_lq: str | None = None
    degradation: DegradationOptions | None = None


def check_crop(opt: Mapping[str, Any], paired: bool) -> None:
    """Refuse crops that fit neither the prior nor, if ``paired``, the LR grid. Raises ValueError."""
    gt_size, scale = opt.get("gt_size"), opt.get("scale")
    if gt_size is None:
        for key in ("use_hflip", "use_rot"):
            if opt.get(key):
                raise ValueError(f"{key}=true: false fits whole sections (gt_size: null), which are not augmented")
        return
    if gt_size % PRIOR_FACTOR:
        raise ValueError(f"gt_size={gt_size}: a multiple of {PRIOR_FACTOR} fits")
    if paired and scale is not None and gt_size % scale:
        raise ValueError(f"gt_size={gt_size}: a multiple of the scale {scale} fits")


def check_pair(opt: Mapping[str, Any]) -> None:
    """Refuse all but exactly one source of LR. Raises ValueError."""
    lq, degradation = opt.get("dataroot_lq"), opt.get("degradation")
    if lq is not None and degradation is not None:
        raise ValueError(f"dataroot_lq={lq}: null fits beside degradation, which makes LR from dataroot_gt")
    if lq is None and degradation is None:
        raise ValueError("dataroot_lq=null: the folder or LMDB of the LR sections, or degradation in its stead, fits")
    if degradation is None:
        return
    if opt.get("dataroot_gt") is None:
        raise ValueError("dataroot_gt=null: degradation needs the HR sections; their folder or LMDB fits")
    for key in EM_DEFAULTS:
        if key in degradation and degradation["kind"] != "em":
            raise ValueError(f"degradation.{key}={degradation[key]}: it fits kind em only")


def check_num_frame(opt: Mapping[str, Any]) -> None:
    """Refuse windows without a centre. Raises ValueError."""
    num_frame = opt.get("num_frame", 5)
    if num_frame % 2 == 0:
        raise ValueError(f"num_frame={num_frame}: an odd number fits")


OptionsT = TypeVar("OptionsT", bound=DatasetOptions)


def parse_options(schema: type[OptionsT], opt: Mapping[str, Any], check) -> OptionsT:
    """Options of a data set, checked by its schema and by ``check(opt)``. Raises InputError, one line."""
    where = f"data set {opt.get('name', '?')}"
    try:
        options = schema.model_validate(dict(opt))
        check(opt)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{where}: {key}={first['input']!r}: {first['msg']}") from None
    except ValueError as error:
        raise InputError(f"{where}: {error}") from None
    return options


def check_crop_fits(gt_size: int | None, store: SectionStore, root: str) -> None:
    """Refuse a crop larger than the smallest section of ``store``. Raises InputError."""
    if gt_size is None:
        return
    smallest = min(min(info.height, info.width) for info in store.volumes.values())
    if gt_size > smallest:
        raise InputError(f"{root}: its smallest section has {smallest} pixels along y or x; gt_size <= {smallest} fits")


class SectionPairs:
    """LR sections and, where there are any, the HR sections that they belong to.

    Args:
        options: with ``io_backend``, ``scale`` and the keys of :class:`PairKeys`; ``dataroot_gt`` may be None.
        gt_size: the crop that the sections must hold, in HR pixels; None for whole sections.

    Attributes:
        scale: HR pixels per LR pixel, along y and x.
        volumes: the section numbers of each volume, ascending.
        sections: (volume, section number) of all sections, volume by volume.

    Raises:
        InputError: a store is absent, the two do not hold the same sections with HR = scale x LR sizes, or
            sections are smaller than the crop.
    """

    def __init__(self, options: Any, gt_size: int | None = None) -> None:
        if options.scale is None:
            raise InputError("scale: it is missing from the option file; 8 or 16 fits")
        self.scale, self._degradation = options.scale, options.degradation
        gt_root, lq_root, backend = options.dataroot_gt, options.dataroot_lq, options.io_backend.type
        self._hr = open_section_store(gt_root, backend) if gt_root is not None else None
        self._lr = open_section_store(lq_root, backend) if lq_root is not None else None
        if self._hr is not None and self._lr is not None:
            _check_match(gt_root, self._hr.volumes, lq_root, self._lr.volumes, self.scale)
        if self._hr is not None:
            check_crop_fits(gt_size, self._hr, gt_root)
        if self._degradation is not None:
            for info in self._hr.volumes.values():
                height, width = info.height // self.scale * self.scale, info.width // self.scale * self.scale
                check_degradation((height, width), self.scale, self._degradation.kind)
        source = self._lr if self._lr is not None else self._hr
        self.volumes = {name: info.sections for name, info in source.volumes.items()}
        self.sections = [(name, section) for name, sections in self.volumes.items() for section in sections]

    @property
    def has_gt(self) -> bool:
        """Whether there are HR sections to compare with."""
        return self._hr is not None

    def lq_shape(self, volume: str) -> tuple[int, int]:
        """Height and width of the LR sections; where LR is made from HR, the rest beyond scale x LR is left out."""
        if self._lr is not None:
            return self._lr.volumes[volume].height, self._lr.volumes[volume].width
        info = self._hr.volumes[volume]
        return info.height // self.scale, info.width // self.scale

    def read_gt(self, volume: str, section: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        """HR pixels under the LR rectangle (y, x, height, width): (scale * height, scale * width) in [0, 1]."""
        r = self.scale
        return self._hr.read_float(volume, section, r * y, r * x, r * height, r * width)

    def read_lq(self, volume: str, section: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        """The LR rectangle (y, x, height, width) in LR pixels: (height, width) in [0, 1], in the dtype's steps.

        Where LR is made from HR, the pixels around the rectangle take part, so that it equals that part of the
        degraded whole section, which in turn is what ``gpemsr-lmdb`` stores with the same seed. Only the noise
        of kind ``em`` is drawn for each rectangle: always the same for the same place, another elsewhere.
        """
        if self._lr is not None:
            return self._lr.read_float(volume, section, y, x, height, width)
        whole_height, whole_width = self.lq_shape(volume)
        context = self._degradation.context
        y0, x0 = max(y - context, 0), max(x - context, 0)
        y1, x1 = min(y + height + context, whole_height), min(x + width + context, whole_width)
        hr = self.read_gt(volume, section, y0, x0, y1 - y0, x1 - x0)
        seed = (self._degradation.seed, self.scale, section)
        if (height, width) != (whole_height, whole_width):
            seed += (zlib.crc32(volume.encode()), y0, x0)
        lq = degrade(hr, self.scale, self._degradation.kind, seed, **self._degradation.parameters)
        steps = np.float32(np.iinfo(self._hr.volumes[volume].dtype).max)
        lq = lq[y - y0 : y - y0 + height, x - x0 : x - x0 + width]
        return np.rint(lq * steps) / steps

    def read_lq_sections(
        self, volume: str, sections: Sequence[int], rectangle: tuple[int, int, int, int]
    ) -> np.ndarray:
        """The same LR rectangle of several sections: (n, height, width) in [0, 1]; a repeated section is read once."""
        read = {section: self.read_lq(volume, section, *rectangle) for section in set(sections)}
        return np.stack([read[section] for section in sections])

    def window(self, volume: str, section: int, num_frame: int) -> list[int]:
        """Numbers of the ``num_frame`` sections around ``section``, the edge section repeated beyond the ends."""
        numbers = self.volumes[volume]
        return [numbers[i] for i in window_indices(bisect_left(numbers, section), len(numbers), num_frame)]


def _check_match(
    gt_root: str | None,
    gt: Mapping[str, VolumeInfo],
    lq_root: str | None,
    lq: Mapping[str, VolumeInfo],
    scale: int,
) -> None:
    if gt.keys() != lq.keys():
        odd = sorted(gt.keys() ^ lq.keys())[0]
        raise InputError(f"{lq_root}: volume {odd} is not in both it and {gt_root}; the same volumes fit")
    for name in gt:
        hr, lr = gt[name], lq[name]
        if hr.sections != lr.sections:
            odd = min(set(hr.sections) ^ set(lr.sections))
            raise InputError(
                f"{lq_root}: section {odd} of {name} is not in both it and {gt_root}; the same sections fit"
            )
        if (hr.height, hr.width) != (scale * lr.height, scale * lr.width):
            raise InputError(
                f"{lq_root}: sections of {name} are {lr.height} x {lr.width} and those of {gt_root} "
                f"{hr.height} x {hr.width}; HR = scale {scale} x LR fits"
            )
