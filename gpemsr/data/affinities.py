"""Affinities of neighbouring voxels, made from instance ids."""

from __future__ import annotations

import numpy as np
from skimage.measure import label


def affinities_of(ids: np.ndarray) -> np.ndarray:
    """Affinities of each voxel to the voxel before it along z, y and x, as waterz takes them.

    Args:
        ids: (z, y, x); 0 = boundary.

    Returns:
        (3, z, y, x) float32: 1 where both voxels have the same id other than 0, else 0. The first plane along
        an axis, which has no voxel before it, is 0 in that axis's channel.
    """
    affinities = np.zeros((3, *ids.shape), np.float32)
    for axis in range(3):
        here, before = np.moveaxis(ids, axis, 0)[1:], np.moveaxis(ids, axis, 0)[:-1]
        np.moveaxis(affinities[axis], axis, 0)[1:] = (here == before) & (here != 0)
    return affinities


def affinity_mask(ids: np.ndarray, ignore_zero: bool, across_sections: bool = True) -> np.ndarray:
    """Which affinities of :func:`affinities_of` are known: (3, z, y, x) float32, 1 or 0.

    The first plane along an axis is not; nor, with ``ignore_zero``, those of which a voxel has the id 0, nor, without
    ``across_sections``, those along z.
    """
    mask = np.zeros((3, *ids.shape), np.float32)
    for axis in range(0 if across_sections else 1, 3):
        here, before = np.moveaxis(ids, axis, 0)[1:], np.moveaxis(ids, axis, 0)[:-1]
        np.moveaxis(mask[axis], axis, 0)[1:] = ((here != 0) & (before != 0)) if ignore_zero else 1
    return mask


def section_regions(image: np.ndarray) -> np.ndarray:
    """Regions that membranes enclose, in each section separately.

    Args:
        image: (z, y, x), whole numbers, 0 = membrane: an image of membranes, or ids. Pixels of one value that touch
            by their sides are a region.

    Returns:
        (z, y, x) int64 from 1 on, no number in two sections; 0 = membrane.
    """
    regions = np.zeros(image.shape, np.int64)
    count = 0
    for z, section in enumerate(image):
        found = label(section, background=0, connectivity=1)
        regions[z] = np.where(found > 0, found + count, 0)
        count += int(found.max())
    return regions
