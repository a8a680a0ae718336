"""LR and HR sections that belong together, from two stores or from HR and a degradation."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from pydantic import ValidationError

from gpemsr.data.degradations import complete_parameters
from gpemsr.data.degraded_sections import DegradedSections
from gpemsr.data.section_options import DegradationOptions, PairOptions
from gpemsr.data.section_sampling import window_indices
from gpemsr.data.section_store import SectionStore, VolumeInfo, open_section_store
from gpemsr.errors import InputError

Rectangle = tuple[int, int, int, int]  # y, x, height, width in LR pixels


def check_crop_fits(gt_size: int | None, store: SectionStore) -> None:
    """Refuse a crop larger than the smallest section of ``store``. Raises InputError."""
    if gt_size is None:
        return
    smallest = min(min(info.shape) for info in store.volumes.values())
    if gt_size > smallest:
        raise InputError(f"{store.root}: a section has {smallest} pixels along y or x; expected gt_size <= {smallest}")


class SectionPairs:
    """LR sections and, where there are any, the HR sections that they belong to.

    Args:
        options: where LR and HR come from, and the scale; without ``dataroot_gt`` there is LR alone.
        gt_size: the crop that the sections must hold, in HR pixels; None for whole sections.
        shifts: rectangles may lie between LR pixels; LR is made again there.

    Attributes:
        scale: HR pixels per LR pixel, along y and x.
        num_degradations: in how many ways LR is made; see :meth:`read_lq`.
        volumes: the section numbers of each volume, ascending.
        sections: (volume, section number) of all sections, volume by volume.

    Raises:
        InputError: a store is absent, the two do not hold the same sections with HR = scale x LR sizes,
            sections are smaller than the crop, or LR sections, of unknown making, are to be shifted.
    """

    def __init__(self, options: PairOptions, gt_size: int | None = None, shifts: bool = False) -> None:
        if options.scale is None:
            raise InputError("scale is missing from the option file; expected 8 or 16")
        self.scale = options.scale
        gt_root, lq_root, backend = options.dataroot_gt, options.dataroot_lq, options.io_backend.arguments
        self._hr = None if gt_root is None else open_section_store(gt_root, **backend)
        self._lr: SectionStore | DegradedSections
        made = [DegradedSections(self.gt_store, self.scale, degradation) for degradation in options.degradations]
        if made:
            self._lr = made[0]
        elif lq_root is None:
            raise InputError("dataroot_lq is missing; expected the folder or LMDB of the LR sections, or degradation")
        else:
            self._lr = open_section_store(lq_root, **backend)
            if self._hr is not None:
                _check_match(self._hr, self._lr, self.scale)
        if self._hr is not None:
            check_crop_fits(gt_size, self._hr)
        if shifts and isinstance(self._lr, SectionStore):
            made = [DegradedSections(self.gt_store, self.scale, _making(self._lr))]
        self._made = made
        self.num_degradations = len(made) or 1
        self.volumes = {name: info.sections for name, info in self._lr.volumes.items()}
        self.sections = [(name, section) for name, sections in self.volumes.items() for section in sections]

    @property
    def has_gt(self) -> bool:
        """Whether there are HR sections to compare with."""
        return self._hr is not None

    def lq_info(self, volume: str) -> VolumeInfo:
        """What is known of the volume's LR sections."""
        return self._lr.volumes[volume]

    def gt_shape(self, volume: str) -> tuple[int, int]:
        """Height and width of the volume's HR sections."""
        return self.gt_store.volumes[volume].shape

    def read_gt(self, volume: str, section: int, rectangle: Rectangle, shift: tuple[int, int] = (0, 0)) -> np.ndarray:
        """HR pixels under an LR rectangle: (scale * height, scale * width) in [0, 1]."""
        y, x, height, width = (self.scale * length for length in rectangle)
        return self.gt_store.read_float(volume, section, y + shift[0], x + shift[1], height, width)

    @property
    def gt_store(self) -> SectionStore:
        """The HR sections. Raises InputError where there are none."""
        if self._hr is None:
            raise InputError("dataroot_gt is missing; expected the folder or LMDB of the HR sections")
        return self._hr

    def read_lq(
        self,
        volume: str,
        section: int,
        rectangle: Rectangle,
        shift: tuple[int, int] = (0, 0),
        degradation: int = 0,
    ) -> np.ndarray:
        """An LR rectangle: (height, width) in [0, 1].

        With ``shift`` the LR grid begins so many HR pixels (y, x) into the section, which ``shifts`` allows.
        ``degradation`` is the number of the one to use, where there are several.
        """
        if any(shift) or degradation:
            return self._made[degradation].read_float(volume, section, *rectangle, shift)
        return self._lr.read_float(volume, section, *rectangle)

    def read_lq_sections(
        self,
        volume: str,
        sections: Sequence[int],
        rectangle: Rectangle,
        shift: tuple[int, int] = (0, 0),
        degradation: int = 0,
    ) -> np.ndarray:
        """The same LR rectangle of several sections: (n, height, width) in [0, 1]; a repeated section is read once."""
        read = {section: self.read_lq(volume, section, rectangle, shift, degradation) for section in set(sections)}
        return np.stack([read[section] for section in sections])

    def window(self, volume: str, section: int, num_frame: int) -> list[int]:
        """Numbers of the ``num_frame`` sections around ``section``, the edge section repeated beyond the ends."""
        numbers = self.volumes[volume]
        return [numbers[i] for i in window_indices(bisect_left(numbers, section), len(numbers), num_frame)]


def _making(lr: SectionStore) -> DegradationOptions:
    """How ``gpemsr-lmdb`` made LR sections. Raises InputError where that is not recorded."""
    recorded = lr.metadata.get("degradation")
    if not isinstance(recorded, dict):
        raise InputError(f"{lr.root}: it does not record how LR was made, which use_shift needs; set degradation")
    try:
        degradation = DegradationOptions.model_validate(recorded)
        complete_parameters(degradation.kind, degradation.model_extra or {})
    except (ValidationError, InputError):
        raise InputError(f"{lr.root}: degradation {recorded} is unknown, which use_shift needs to repeat") from None
    return degradation


def _check_match(hr: SectionStore, lr: SectionStore, scale: int) -> None:
    """Refuse stores with other volumes or sections, or with other sizes than HR = scale x LR. Raises InputError."""
    if hr.volumes.keys() != lr.volumes.keys():
        odd = min(hr.volumes.keys() ^ lr.volumes.keys())
        raise InputError(f"{lr.root}: volume {odd} is not in both it and {hr.root}; expected the same volumes")
    for name, large in hr.volumes.items():
        small = lr.volumes[name]
        if large.sections != small.sections:
            number = min(set(large.sections) ^ set(small.sections))
            where = f"section {number} of {name} is not in both it and {hr.root}"
            raise InputError(f"{lr.root}: {where}; expected the same sections")
        if large.grey_range != small.grey_range:
            raise InputError(
                f"{lr.root}: grey values {small.grey_range} of {name} are 0 to 1, those of {hr.root} "
                f"{large.grey_range}; expected the same range"
            )
        if large.shape != (scale * small.height, scale * small.width):
            raise InputError(
                f"{lr.root}: sections of {name} are {small.height} x {small.width} and those of {hr.root} "
                f"{large.height} x {large.width}; expected HR = scale {scale} x LR"
            )
