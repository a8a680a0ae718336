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

from gpemsr.metrics.libraries import library
from gpemsr.segmentation.silence import silent_stdout

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
    """Merge fragments by waterz in the order of their mean affinity; what it prints is dropped.

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
    merged = np.array(fragments, np.uint64)
    with silent_stdout():
        segmentations = waterz.agglomerate(affinities, thresholds, fragments=merged, scoring_function=MEAN_AFFINITY)
    for _ in thresholds:
        with silent_stdout():
            labels = next(segmentations).copy()  # waterz goes on in the same array
        yield labels


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


def segment(
    affinities: np.ndarray,
    thresholds: Sequence[float] = THRESHOLDS,
    kind: Literal["2d", "3d"] = "2d",
    seed_distance: int = SEED_DISTANCE,
    by_section: bool = False,
) -> Iterator[tuple[float, np.ndarray]]:
    """Segmentations that affinities give: fragments, agglomeration, boundary filled.

    Args:
        affinities: (3, z, y, x) in [0, 1].
        thresholds: see :func:`agglomerate`.
        kind, seed_distance: see :func:`make_fragments`.
        by_section: each section by itself: affinities along z count as 0, nothing is merged across sections.

    Yields:
        Each threshold and its segmentation, (z, y, x) uint64 from 1 on; 0 in sections without any fragment. With
        ``by_section`` no label is in two sections.
    """
    if by_section:
        if kind != "2d":
            raise ValueError(f"kind={kind}: 2d fits, as each section is segmented by itself")
        affinities = np.concatenate([np.zeros_like(affinities[:1]), affinities[1:]])
    fragments = make_fragments(affinities, kind, seed_distance)
    for threshold, labels in zip(thresholds, agglomerate(affinities, fragments, thresholds), strict=True):
        yield threshold, fill_boundary(labels)


def score_segmentation(ids: np.ndarray, labels: np.ndarray, by_section: bool = False) -> SegmentationScores:
    """Compare a segmentation with the ground truth; voxels whose true id is 0 are left out.

    Args:
        ids: (z, y, x), ground truth; 0 = boundary.
        labels: (z, y, x).
        by_section: score each section by itself, the mean of those that have ids other than 0.
    """
    parts = zip(ids, labels, strict=True) if by_section else [(ids, labels)]
    scores = [_score(true, found) for true, found in parts if true.any()]
    if not scores:
        raise ValueError("ids: no voxel other than 0 to compare with")
    return SegmentationScores(*np.mean(scores, axis=0).tolist())


def _score(ids: np.ndarray, labels: np.ndarray) -> tuple[float, float, float]:
    """The figures of SegmentationScores."""
    known = ids != 0
    true, found = _renumbered(ids[known]), _renumbered(labels[known])  # the tables are as wide as the largest number
    split, merge = variation_of_information(true, found)
    error, _, _ = adapted_rand_error(true, found)
    return float(split), float(merge), float(error)


def _renumbered(labels: np.ndarray) -> np.ndarray:
    """The same labels as numbers from 1 on, in the same order."""
    return np.unique(labels, return_inverse=True)[1] + 1


def segment_and_score(
    affinities: np.ndarray,
    ids: np.ndarray,
    thresholds: Sequence[float] = THRESHOLDS,
    kind: Literal["2d", "3d"] = "2d",
    seed_distance: int = SEED_DISTANCE,
    by_section: bool = False,
) -> dict[float, SegmentationScores]:
    """Scores by threshold of the segmentations that affinities give; see the functions above."""
    segmentations = segment(affinities, thresholds, kind, seed_distance, by_section)
    return {threshold: score_segmentation(ids, labels, by_section) for threshold, labels in segmentations}


def best_segmentation(
    affinities: np.ndarray,
    ids: np.ndarray,
    thresholds: Sequence[float] = THRESHOLDS,
    kind: Literal["2d", "3d"] = "2d",
    seed_distance: int = SEED_DISTANCE,
    by_section: bool = False,
) -> tuple[dict[str, float], np.ndarray]:
    """Figures of the segmentation with the least VOI, its ``threshold`` among them, and its labels (z, y, x)."""
    best: tuple[dict[str, float], np.ndarray] | None = None
    for threshold, labels in segment(affinities, thresholds, kind, seed_distance, by_section):
        scores = score_segmentation(ids, labels, by_section)
        if best is None or scores.voi < best[0]["voi"]:
            best = {**vars(scores), "voi": scores.voi, "threshold": threshold}, labels
    assert best is not None  # there is at least one threshold
    return best
