"""The labels of a test set, cut out of those of the volume that it came from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gpemsr.data.affinities import section_regions
from gpemsr.data.section_store import SectionStore
from gpemsr.data.volumes.ids import CREMI_IDS, read_ids
from gpemsr.errors import InputError
from gpemsr.segmentation.agglomeration import connected_ids


def read_labels(
    file: str | Path,
    store: SectionStore,
    sections: Sequence[int] | None = None,
    dataset: str | None = None,
    by_section: bool = False,
) -> np.ndarray:
    """Labels of a test set of one volume.

    Args:
        file: labels of the source volume: TIFF, or HDF5 with ``dataset``.
        store: the HR sections, whose ``volume.json`` says which sections and which rectangle they are of the source.
        sections: first section of the test set and the one after the last; all by default.
        dataset: where the labels are in an HDF5 file; CREMI's by default.
        by_section: whether each section's regions are labelled independently, as for membranes.

    Returns:
        (z, y, x), 0 = boundary: neurons, each connected piece by itself, or the regions of each section.

    Raises:
        InputError: several volumes, sections that the test set or the labels do not have, or labels too small.
    """
    if len(store.volumes) != 1:
        raise InputError(f"{store.root}: {len(store.volumes)} volumes; a segmentation needs one")
    (info,) = store.volumes.values()
    numbers = np.asarray(info.sections)
    start, stop = sections or (0, len(numbers))
    if stop > len(numbers):
        raise InputError(f"{store.root}: {len(numbers)} sections, too few for segmentation.sections={[start, stop]}")
    entry: dict[str, Any] = store.metadata.get("volumes", {}).get(info.name, {})
    top, left = (entry.get("crop", {}).get(axis, [0])[0] for axis in "yx")
    y, x = slice(top, top + info.height), slice(left, left + info.width)
    ids = read_ids(file, slice(0, int(numbers.max()) + 1), dataset or CREMI_IDS)
    if len(ids) <= numbers[start:stop].max():
        raise InputError(f"{file}: {len(ids)} sections, but the test set has section {numbers.max()}")
    labels = ids[numbers[start:stop]][:, y, x]
    if labels.shape[1:] != (info.height, info.width):
        wanted = f"y {y.start}:{y.stop}, x {x.start}:{x.stop}"
        raise InputError(f"{file}: sections of {ids.shape[1:]} do not hold the test set's {wanted}")
    return section_regions(labels) if by_section else connected_ids(labels)
