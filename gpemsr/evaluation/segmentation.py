"""From affinities to neurons, and how well they fit: fragments, agglomeration, variation of information, Rand error."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

import numpy as np
from scipy import ndimage
from skimage.metrics import adapted_rand_error, variation_of_information
from skimage.segmentation import watershed

from gpemsr.evaluation.libraries import library

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
SEED_DISTANCE = 10
MEAN_AFFINITY = "OneMinus<MeanAffinity<RegionGraphType, ScoreValue>>"  # waterz ships it compiled


@dataclass(frozen=True)
class SegmentationScores:
    """How a segmentation differs from the ground truth; lower is better.

    Attributes:
        voi_split, voi_merge: the two parts of the variation of information, in bits.
        adapted_rand: 1 minus the F-score of the Rand index.
    """

    voi_split: float
    voi_merge: float
    adapted_rand: float

    @property
    def voi(self) -> float:
        """Variation of information, in bits."""
        return self.voi_split + self.voi_merge


def require(*modules: str) -> None:
    """Raise InputError naming the first of the extra's libraries that is absent."""
    for module in modules:
        _library(module)


def _library(module: str) -> ModuleType:
    return library(module, "segmentation")


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
        kind: ``2d``, each section by itself, as anisotropic stacks need it, or ``3d``.
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
    pieces = _library("cc3d").connected_components(inside, connectivity=2 * inside.ndim)
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


def agglomerate(
    affinities: np.ndarray, fragments: np.ndarray, thresholds: Sequence[float] = THRESHOLDS
) -> Iterator[np.ndarray]:
    """Merge fragments by waterz in the order of their mean affinity.

    Args:
        affinities: (3, z, y, x) in [0, 1].
        fragments: (z, y, x) uint64; not changed.
        thresholds: increasing, in [0, 1]: fragments are merged while 1 - mean affinity is below it.

    Yields:
        (z, y, x) uint64, one segmentation for each threshold.
    """
    if list(thresholds) != sorted(thresholds):
        raise ValueError(f"thresholds={thresholds}: increasing ones fit")
    waterz = _library("waterz")
    affinities = np.ascontiguousarray(affinities, np.float32)
    for labels in waterz.agglomerate(
        affinities, thresholds, fragments=np.array(fragments, np.uint64), scoring_function=MEAN_AFFINITY
    ):
        yield labels.copy()  # waterz goes on in the same array


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
    """Give each connected piece of an instance an id of its own.

    Branches of one neuron that meet outside of the volume cannot be known to belong together from within it.

    Args:
        ids: (z, y, x); 0 = boundary.

    Returns:
        (z, y, x) uint64; 0 stays 0.
    """
    return _library("cc3d").connected_components(ids, connectivity=6, out_dtype=np.uint64)


def score_segmentation(ids: np.ndarray, labels: np.ndarray) -> SegmentationScores:
    """Compare a segmentation with the ground truth; voxels whose true id is 0 are left out.

    Args:
        ids: (z, y, x), ground truth; 0 = boundary.
        labels: (z, y, x).
    """
    known = ids != 0
    if not known.any():
        raise ValueError("ids: no voxel other than 0 to compare with")
    true, found = _renumbered(ids[known]), _renumbered(labels[known])  # the tables are as wide as the largest number
    split, merge = variation_of_information(true, found)
    error, _, _ = adapted_rand_error(true, found)
    return SegmentationScores(float(split), float(merge), float(error))


def _renumbered(labels: np.ndarray) -> np.ndarray:
    """The same labels as numbers from 1 on, in the same order."""
    return np.unique(labels, return_inverse=True)[1] + 1


def segment_and_score(
    affinities: np.ndarray,
    ids: np.ndarray,
    thresholds: Sequence[float] = THRESHOLDS,
    kind: Literal["2d", "3d"] = "2d",
    seed_distance: int = SEED_DISTANCE,
) -> dict[float, SegmentationScores]:
    """Scores by threshold of the segmentations that affinities give; see the functions above."""
    fragments = make_fragments(affinities, kind, seed_distance)
    segmentations = map(fill_boundary, agglomerate(affinities, fragments, thresholds))
    return {t: score_segmentation(ids, labels) for t, labels in zip(thresholds, segmentations, strict=True)}
