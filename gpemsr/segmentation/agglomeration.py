"""From affinities to neurons: fragments, agglomeration, and the threshold that scores best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gpemsr.metrics.libraries import library
from gpemsr.metrics.segmentation_scores import score_segmentation
from gpemsr.segmentation.fragments import SEED_DISTANCE, fill_boundary, make_fragments
from gpemsr.segmentation.silence import silent_stdout

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
MEAN_AFFINITY = "OneMinus<MeanAffinity<RegionGraphType, ScoreValue>>"  # waterz ships it compiled


def require(*modules: str) -> None:
    """Raise InputError naming the first of these libraries of the extra ``benchmark`` that is absent."""
    for module in modules:
        library(module, "segmentation")


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
        raise ValueError(f"thresholds={thresholds}: expected increasing ones")
    waterz = library("waterz", "segmentation")
    affinities = np.ascontiguousarray(affinities, np.float32)
    merged = np.array(fragments, np.uint64)
    with silent_stdout():
        segmentations = waterz.agglomerate(affinities, thresholds, fragments=merged, scoring_function=MEAN_AFFINITY)
    for _ in thresholds:
        with silent_stdout():
            labels = next(segmentations).copy()  # waterz reuses the array
        yield labels


@dataclass(frozen=True)
class Agglomeration:
    """How affinities become segmentations: fragments, agglomeration, boundary filled."""

    thresholds: Sequence[float] = THRESHOLDS
    """See :func:`agglomerate`."""
    kind: Literal["2d", "3d"] = "2d"
    """How fragments are made, like ``seed_distance``; see :func:`make_fragments`."""
    seed_distance: int = SEED_DISTANCE
    by_section: bool = False
    """Each section separately: affinities along z count as 0, nothing is merged across sections."""

    def __post_init__(self) -> None:
        if self.by_section and self.kind != "2d":
            raise ValueError(f"kind={self.kind}: expected 2d, as each section is segmented separately")

    def segment(self, affinities: np.ndarray) -> Iterator[tuple[float, np.ndarray]]:
        """Segmentations that affinities (3, z, y, x) in [0, 1] give.

        Yields:
            Each threshold and its segmentation, (z, y, x) uint64 from 1 on; 0 in sections without any fragment. With
            ``by_section`` no label is in two sections.
        """
        if self.by_section:
            affinities = np.concatenate([np.zeros_like(affinities[:1]), affinities[1:]])
        fragments = make_fragments(affinities, self.kind, self.seed_distance)
        for threshold, labels in zip(self.thresholds, agglomerate(affinities, fragments, self.thresholds), strict=True):
            yield threshold, fill_boundary(labels)

    def best(self, affinities: np.ndarray, ids: np.ndarray) -> tuple[dict[str, float], np.ndarray]:
        """Figures of the segmentation with the lowest VOI, its ``threshold`` among them, and its labels (z, y, x)."""
        segmentations = self.segment(affinities)
        scored = ((score_segmentation(ids, labels, self.by_section), t, labels) for t, labels in segmentations)
        scores, threshold, labels = min(scored, key=lambda found: found[0].voi)
        return {**vars(scores), "voi": scores.voi, "threshold": threshold}, labels
