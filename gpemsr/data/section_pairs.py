"""LR and HR sections that belong together, from two stores or from HR and a degradation."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import ValidationError

from gpemsr.data.degraded_sections import DegradedSections
from gpemsr.data.section_options import DegradationOptions, PairOptions
from gpemsr.data.section_sampling import window_indices
from gpemsr.data.section_store import SectionStore, VolumeInfo, open_section_store
from gpemsr.errors import InputError


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
        options: where LR and HR come from, and the scale; without ``dataroot_gt`` there is LR alone.
        gt_size: the crop that the sections must hold, in HR pixels; None for whole sections.
        shifts: rectangles may lie between LR pixels; LR is made anew there.

    Attributes:
        scale: HR pixels per LR pixel, along y and x.
        volumes: the section numbers of each volume, ascending.
        sections: (volume, section number) of all sections, volume by volume.

    Raises:
        InputError: a store is absent, the two do not hold the same sections with HR = scale x LR sizes,
            sections are smaller than the crop, or shifts are wanted of LR sections of unknown making.
    """

    def __init__(self, options: PairOptions, gt_size: int | None = None, shifts: bool = False) -> None:
        if options.scale is None:
            raise InputError("scale: it is missing from the option file; 8 or 16 fits")
        self.scale = options.scale
        gt_root, lq_root, backend = options.dataroot_gt, options.dataroot_lq, options.io_backend.type
        self._hr = open_section_store(gt_root, backend) if gt_root is not None else None
        self._lr: SectionStore | DegradedSections
        if self._hr is not None and options.degradation is not None:
            self._lr = DegradedSections(self._hr, self.scale, options.degradation)
        elif lq_root is not None:
            self._lr = open_section_store(lq_root, backend)
        else:
            raise InputError("dataroot_lq: it is missing; the folder or LMDB of the LR sections, or degradation, fits")
        if self._hr is not None and options.degradation is None:
            _check_match(f"{gt_root}", self._hr.volumes, f"{lq_root}", self._lr.volumes, self.scale)
        if self._hr is not None:
            check_crop_fits(gt_size, self._hr, f"{gt_root}")
        self._shifted: DegradedSections | None = None
        if shifts:
            lr = self._lr
            if not isinstance(lr, DegradedSections):
                lr = DegradedSections(self._gt(), self.scale, _making(lr))
            self._shifted = lr
        self.volumes = {name: info.sections for name, info in self._lr.volumes.items()}
        self.sections = [(name, section) for name, sections in self.volumes.items() for section in sections]

    @property
    def has_gt(self) -> bool:
        """Whether there are HR sections to compare with."""
        return self._hr is not None

    def lq_shape(self, volume: str) -> tuple[int, int]:
        """Height and width of the volume's LR sections."""
        return self._lr.volumes[volume].height, self._lr.volumes[volume].width

    def dtype(self, volume: str) -> np.dtype:
        """Data type of the volume's LR sections: ``uint8`` or ``uint16``."""
        return self._lr.volumes[volume].dtype

    def gt_shape(self, volume: str) -> tuple[int, int]:
        """Height and width of the volume's HR sections."""
        hr = self._gt().volumes[volume]
        return hr.height, hr.width

    def read_gt(
        self, volume: str, section: int, y: int, x: int, height: int, width: int, shift: tuple[int, int] = (0, 0)
    ) -> np.ndarray:
        """HR pixels under the LR rectangle (y, x, height, width): (scale * height, scale * width) in [0, 1]."""
        r = self.scale
        return self._gt().read_float(volume, section, r * y + shift[0], r * x + shift[1], r * height, r * width)

    def _gt(self) -> SectionStore:
        if self._hr is None:
            raise InputError("dataroot_gt: it is missing, so there are no HR sections; their folder or LMDB fits")
        return self._hr

    def read_lq(
        self, volume: str, section: int, y: int, x: int, height: int, width: int, shift: tuple[int, int] = (0, 0)
    ) -> np.ndarray:
        """The LR rectangle (y, x, height, width) in LR pixels: (height, width) in [0, 1].

        With ``shift`` the LR grid begins so many HR pixels (y, x) into the section, which ``shifts`` allows.
        """
        if any(shift):
            assert self._shifted is not None
            return self._shifted.read_float(volume, section, y, x, height, width, shift)
        return self._lr.read_float(volume, section, y, x, height, width)

    def read_lq_sections(
        self,
        volume: str,
        sections: Sequence[int],
        rectangle: tuple[int, int, int, int],
        shift: tuple[int, int] = (0, 0),
    ) -> np.ndarray:
        """The same LR rectangle of several sections: (n, height, width) in [0, 1]; a repeated section is read once."""
        read = {section: self.read_lq(volume, section, *rectangle, shift) for section in set(sections)}
        return np.stack([read[section] for section in sections])

    def window(self, volume: str, section: int, num_frame: int) -> list[int]:
        """Numbers of the ``num_frame`` sections around ``section``, the edge section repeated beyond the ends."""
        numbers = self.volumes[volume]
        return [numbers[i] for i in window_indices(bisect_left(numbers, section), len(numbers), num_frame)]


def _making(lr: SectionStore) -> DegradationOptions:
    """How ``gpemsr-lmdb`` made LR sections. Raises InputError where they do not tell."""
    recorded = lr.metadata.get("degradation")
    if not isinstance(recorded, dict):
        raise InputError(f"{lr.root}: it does not tell how LR was made, which use_shift needs; degradation fits")
    try:
        return DegradationOptions.model_validate(recorded)
    except ValidationError:
        raise InputError(f"{lr.root}: degradation {recorded} is unknown, which use_shift needs to repeat") from None


def _check_match(
    gt_root: str,
    gt: Mapping[str, VolumeInfo],
    lq_root: str,
    lq: Mapping[str, VolumeInfo],
    scale: int,
) -> None:
    if gt.keys() != lq.keys():
        volume = min(gt.keys() ^ lq.keys())
        raise InputError(f"{lq_root}: volume {volume} is not in both it and {gt_root}; the same volumes fit")
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
