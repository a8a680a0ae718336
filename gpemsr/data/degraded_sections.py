"""LR sections made from HR sections as they are read."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np

from gpemsr.data.degradations import DEGRADATIONS, check_degradation, degrade
from gpemsr.data.section_options import DegradationOptions
from gpemsr.data.section_store import SectionStore, VolumeInfo


class DegradedSections:
    """Reads like a :class:`SectionStore` of LR sections. HR pixels beyond whole LR pixels are left out.

    Args:
        scale: HR pixels per LR pixel, along y and x.

    Attributes:
        volumes: as those of ``hr``, with LR sizes.

    Raises:
        InputError: sections too small for the degradation.
    """

    def __init__(self, hr: SectionStore, scale: int, degradation: DegradationOptions) -> None:
        self._hr, self._scale = hr, scale
        self._kind, self._seed, self._parameters = degradation.kind, degradation.seed, degradation.parameters
        self.volumes = {name: _lr_info(info, scale) for name, info in hr.volumes.items()}
        for info in self.volumes.values():
            check_degradation((scale * info.height, scale * info.width), scale, self._kind)

    def read_float(
        self, volume: str, section: int, y: int, x: int, height: int, width: int, shift: tuple[int, int] = (0, 0)
    ) -> np.ndarray:
        """The rectangle (y, x, height, width) in LR pixels: float32 (height, width) in [0, 1], in the dtype's steps.

        The LR grid begins ``shift`` (y, x) HR pixels into the section, each less than the scale.

        The pixels around it take part, so that it equals that part of the degraded whole section, which in turn
        is what ``gpemsr-lmdb`` stores with the same seed. Only noise is drawn for each rectangle: always the same for
        the same place, another elsewhere.
        """
        info, r = self.volumes[volume], self._scale
        context = DEGRADATIONS[self._kind].context(**self._parameters)
        y0, x0 = max(y - context, 0), max(x - context, 0)
        whole = self._hr.volumes[volume]
        down, right = shift
        y1 = min(y + height + context, (whole.height - down) // r)
        x1 = min(x + width + context, (whole.width - right) // r)
        hr = self._hr.read_float(volume, section, r * y0 + down, r * x0 + right, r * (y1 - y0), r * (x1 - x0))
        seed: tuple[int, ...] = (self._seed, r, section)
        if (height, width) != info.shape:
            seed += (zlib.crc32(volume.encode()), y0, x0, *(shift if any(shift) else ()))
        lr = degrade(hr, r, self._kind, seed, **self._parameters)
        stored = info.grey_range.from_unit(lr[y - y0 :, x - x0 :][:height, :width], info.dtype)
        return info.grey_range.to_unit(stored)


def _lr_info(info: VolumeInfo, scale: int) -> VolumeInfo:
    voxel_size = info.voxel_size
    if voxel_size is not None:
        voxel_size = (voxel_size[0], scale * voxel_size[1], scale * voxel_size[2])
    return replace(info, height=info.height // scale, width=info.width // scale, voxel_size=voxel_size)
