"""Fragments, pieces that are each within one neuron: what agglomeration begins with."""

from __future__ import annotations

import itertools
from typing import Literal

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from gpemsr.metrics.libraries import library

SEED_DISTANCE = 10


def make_fragments(
    affinities: np.ndarray, kind: Literal["2d", "3d"] = "2d", seed_distance: int = SEED_DISTANCE
) -> np.ndarray:
    """Split a volume into fragments, pieces that are each within one neuron.

    Affinities up to 1/2 are the boundary. The watershed grows from the places that are farthest from it among those
    at most ``seed_distance`` voxels apart (as in Funke et al. 2018), and from each connected piece that has no such
    place. It works on a grid of voxels and the faces between them, so that neurons that touch, without a voxel of
    boundary between them, stay apart.

    Args:
        affinities: (3, z, y, x) in [0, 1], to the voxel before along z, y, x.
        kind: ``2d``, each section separately, as anisotropic stacks need it, or ``3d``.
        seed_distance: voxels.

    Returns:
        (z, y, x) uint64 from 1 on; 0 in voxels that are joined with no other: the boundary (:func:`fill_boundary`).
    """
    joined = affinities > 0.5
    if kind == "3d":
        return _watershed(joined, seed_distance).astype(np.uint64)
    fragments = np.zeros(affinities.shape[1:], np.uint64)
    count = 0
    for z in range(len(fragments)):
        labels = _watershed(joined[1:, z], seed_distance).astype(np.uint64)
        fragments[z] = np.where(labels > 0, labels + np.uint64(count), 0)
        count += int(labels.max())
    return fragments


def _watershed(joined: np.ndarray, seed_distance: int) -> np.ndarray:
    """Fragments of a section (2, y, x) or a volume (3, z, y, x) of which affinities hold."""
    inside = _voxels_and_faces(joined)
    distance = np.ones(inside.shape) if inside.all() else ndimage.distance_transform_edt(inside)
    peaks = inside & (ndimage.maximum_filter(distance, 2 * seed_distance) == distance)
    pieces = library("cc3d", "segmentation").connected_components(inside, connectivity=2 * inside.ndim)
    seeded = np.zeros(int(pieces.max()) + 1, bool)
    seeded[pieces[peaks]] = True
    peaks |= inside & ~seeded[pieces]
    return watershed(-distance, ndimage.label(peaks)[0], mask=inside)[(slice(None, None, 2),) * inside.ndim]


def _voxels_and_faces(joined: np.ndarray) -> np.ndarray:
    """The inside of neurons on a grid where voxels are at even places and the faces, edges, corners between them odd.

    A face is inside where its two voxels are joined, a voxel where one of its faces is, an edge or a corner where all
    faces around it are.
    """
    size = joined.shape[1:]
    inside = np.zeros([2 * n - 1 for n in size], bool)
    for axis, channel in enumerate(joined):
        between = np.moveaxis(channel, axis, 0)[1:]
        even = np.moveaxis(inside[tuple(slice(None, None, 1 if a == axis else 2) for a in range(len(size)))], axis, 0)
        even[1::2] = between
        even[:-1:2] |= between
        even[2::2] |= between
    for axes in itertools.chain.from_iterable(itertools.combinations(range(len(size)), n) for n in (2, 3)):
        odd = tuple(slice(1, None, 2) if a in axes else slice(None, None, 2) for a in range(len(size)))
        inside[odd] = True
        for axis in axes:
            for near in (slice(0, -1, 2), slice(2, None, 2)):
                inside[odd] &= inside[(*odd[:axis], near, *odd[axis + 1 :])]
    return inside


def fill_boundary(labels: np.ndarray) -> np.ndarray:
    """Give voxels of label 0 the label that is nearest in the section; (z, y, x), sections without labels stay 0."""
    filled = labels.copy()
    for section in filled:
        empty = section == 0
        if empty.any() and not empty.all():
            nearest = ndimage.distance_transform_edt(empty, return_distances=False, return_indices=True)
            section[empty] = section[tuple(axis[empty] for axis in nearest)]
    return filled


def connected_ids(ids: np.ndarray) -> np.ndarray:
    """Give each connected piece of an instance its own id.

    Branches of one neuron that meet outside of the volume cannot be known to belong together from within it.

    Args:
        ids: (z, y, x); 0 = boundary.

    Returns:
        (z, y, x) uint64; 0 stays 0.
    """
    return library("cc3d", "segmentation").connected_components(ids, connectivity=6, out_dtype=np.uint64)
