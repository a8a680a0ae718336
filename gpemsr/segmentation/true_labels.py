"""The labels of a test set, cut out of those of the volume that it came from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gpemsr.data.affinities import section_regions
from gpemsr.data.section_store import SectionStore, VolumeInfo
from gpemsr.data.volumes.ids import CREMI_IDS, open_ids, unsigned_ids
from gpemsr.data.volumes.volume import Volume
from gpemsr.errors import InputError
from gpemsr.segmentation.fragments import connected_ids


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
        (z, y, x), 0 = boundary: neurons, each connected piece separately, or the regions of each section. A section
        that was missing has the labels of the section that replaces it.

    Raises:
        InputError: several volumes, sections that the test set or the labels do not have, or labels of another size.
    """
    if len(store.volumes) != 1:
        raise InputError(f"{store.root}: {len(store.volumes)} volumes; expected one for a segmentation")
    (info,) = store.volumes.values()
    start, stop = sections or (0, len(info.sections))
    if stop > len(info.sections):
        count = len(info.sections)
        raise InputError(f"{store.root}: {count} sections, too few for segmentation.sections={[start, stop]}")
    entry: dict[str, Any] = store.metadata.get("volumes", {}).get(info.name, {})
    top, left = (entry.get("crop", {}).get(axis, [0])[0] for axis in "yx")
    y, x = slice(top, top + info.height), slice(left, left + info.width)
    replaced = {item["section"]: item["replaced_by"] for item in entry.get("missing_sections", [])}
    with open_ids(file, dataset or CREMI_IDS) as ids:
        first = _first_section(entry.get("source"), store, info, ids)
        indices = [replaced.get(number, number) - first for number in info.sections[start:stop]]
        if min(indices) < 0 or max(indices) >= len(ids.numbers):
            number = info.sections[start if min(indices) < 0 else stop - 1]
            raise InputError(f"{file}: {len(ids.numbers)} sections, but the test set has section {number}")
        if not (y.stop <= ids.shape[1] and x.stop <= ids.shape[2]):
            wanted = f"y {y.start}:{y.stop}, x {x.start}:{x.stop}"
            raise InputError(f"{file}: sections of {ids.shape[1:]} do not hold the test set's {wanted}")
        labels = unsigned_ids(ids.read(indices)[:, y, x], file)
    return section_regions(labels) if by_section else connected_ids(labels)


def _first_section(source: dict[str, Any] | None, store: SectionStore, info: VolumeInfo, ids: Volume) -> int:
    """The number, in the store, of the section that the first section of ``ids`` belongs to.

    Ids belong to the whole volume that the store was cut from, section by section. Where the store does not say which
    volume that is, they have its numbers (a folder), or one section for each number from the first to the last one of
    the store, or count from 0.
    """
    if source is None:
        first, last = info.sections[0], info.sections[-1]
        return first if len(ids.numbers) == last + 1 - first else ids.numbers[0]
    if tuple(source["shape"]) != ids.shape:
        shape = tuple(source["shape"])
        raise InputError(f"{ids.source}: ids {ids.shape}; expected those of the volume {shape} that {store.root} is of")
    if "first_section" in source:
        return source["first_section"]
    if source.get("dataset") is None and not Path(source["path"]).suffix:  # a folder, whose numbers begin anywhere
        raise InputError(f"{store.root}: does not say which section its source begins with; make it again")
    return 0
