"""What an HDF5 data set lacks: chunks never written, sources with gaps or absent, external files cut short."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from gpemsr.data.volumes.volume import reason

Box = Sequence[range]  # the indices along each axis


class _Source(NamedTuple):
    """A part of a virtual data set, ``box`` a range for each axis, and where it is read from."""

    box: Box
    space: Any
    file: Path
    shown: str
    dataset: str


class Holes:
    """Indices along an axis of HDF5 data sets at which something is absent."""

    def __init__(self, is_sparse: bool):
        self._is_sparse = is_sparse
        self._written: dict[tuple[str, str], np.ndarray] = {}

    def along(self, array: Any, axis: int, box: Box) -> dict[int, str]:
        """Index along ``axis`` within ``box`` -> what is absent there; nothing for what is whole."""
        if array.is_virtual:
            return self._sources(array, axis, box)
        if array.external:
            return _external(array, axis)
        if self._is_sparse or array.size == 0:
            return {}
        if array.chunks is None:
            return {} if array.id.get_storage_size() else dict.fromkeys(box[axis], "never written")
        return self._chunks(array, axis, box)

    def _chunks(self, array: Any, axis: int, box: Box) -> dict[int, str]:
        key = (array.file.filename, array.name)
        if key not in self._written:
            offsets: list[tuple[int, ...]] = []
            array.id.chunk_iter(lambda chunk: offsets.append(chunk.chunk_offset))
            self._written[key] = np.array(offsets, np.int64).reshape(-1, array.ndim) // array.chunks
        wanted = [(span[0] // size, span[-1] // size + 1) for span, size in zip(box, array.chunks, strict=True)]
        low, high = np.transpose(wanted)
        written = self._written[key]
        within = written[((written >= low) & (written < high)).all(1), axis]
        there = np.bincount(within - low[axis], minlength=high[axis] - low[axis])
        needed = math.prod(last - first for place, (first, last) in enumerate(wanted) if place != axis)
        lacking = needed - there[np.array(box[axis]) // array.chunks[axis] - low[axis]]
        return {
            index: f"{count} of {needed} chunks were never written"
            for index, count in zip(box[axis], lacking.tolist(), strict=True)
            if count
        }

    def _sources(self, array: Any, axis: int, box: Box) -> dict[int, str]:
        absent: dict[int, str] = {}
        parts: dict[int, list[Box]] = {index: [] for index in box[axis]}
        for source in _mapped(array):
            if not all(_meet(span, wanted) for span, wanted in zip(source.box, box, strict=True)):
                continue
            for index in _meet(source.box[axis], box[axis]):
                parts[index].append(source.box)
            absent |= self._source(array, source, axis)
        others = [place for place in range(array.ndim) if place != axis]
        known: dict[tuple[Any, ...], bool] = {}
        for index, boxes in parts.items():
            found = tuple(tuple(part[place] for place in others) for part in boxes)
            if found not in known:
                known[found] = _covers(found, [box[place] for place in others])
            if not known[found]:
                extent = "covers all of it" if found else "is known to cover it"
                absent.setdefault(index, f"no source of the virtual data set {extent}")
        return {index: why for index, why in absent.items() if index in box[axis]}

    def _source(self, array: Any, source: _Source, axis: int) -> dict[int, str]:
        own = Path(array.file.filename)
        try:
            with contextlib.nullcontext(array.file) if source.file == own else h5py.File(source.file, "r") as opened:
                if source.dataset not in opened:
                    raise OSError("no such data set")
                inner = opened[source.dataset]
                selection = _spans(source.space, inner.shape)
                if selection is None:
                    raise OSError("its part is not a regular grid")
                if not all(span[-1] < size for span, size in zip(selection, inner.shape, strict=True)):
                    raise OSError(f"of shape {inner.shape}, less than is mapped")
                return self._through(inner, source, selection, axis)
        except (OSError, KeyError, ValueError, IndexError) as error:
            why = f"{source.shown}:{source.dataset} cannot be read: {reason(error)}"
            return dict.fromkeys(source.box[axis], why)

    def _through(self, inner: Any, source: _Source, selection: Box, axis: int) -> dict[int, str]:
        """What a source lacks, at the indices along ``axis`` that it is mapped to: axes keep their order."""
        outer = [place for place, span in enumerate(source.box) if len(span) > 1]
        inside = [place for place, span in enumerate(selection) if len(span) > 1]
        if [len(source.box[place]) for place in outer] != [len(selection[place]) for place in inside]:
            return dict.fromkeys(source.box[axis], f"{source.shown}:{source.dataset} has another shape than is mapped")
        along = inside[outer.index(axis)] if axis in outer else 0
        absent = self.along(inner, along, selection)
        if axis not in outer:
            places = dict.fromkeys(source.box[axis], next(iter(absent.values()))) if absent else {}
        else:
            there = zip(source.box[axis], selection[along], strict=True)
            places = {index: absent[where] for index, where in there if where in absent}
        return {index: f"{source.shown}: {why}" for index, why in places.items()}


def _mapped(array: Any) -> list[_Source]:
    """Parts of a virtual data set; those that are no regular grid count as not mapped."""
    own = Path(array.file.filename)
    found = []
    for source in array.virtual_sources():
        box = _spans(source.vspace, array.shape)
        if box is not None:
            file = own if source.file_name == "." else own.parent / source.file_name
            found.append(_Source(box, source.src_space, file, source.file_name, source.dset_name))
    return found


def _spans(space: Any, shape: Sequence[int]) -> Box | None:
    """A selection of an array of ``shape`` as a range for each axis, None for one that is not."""
    if space.get_select_type() == h5py.h5s.SEL_ALL:
        return [range(size) for size in shape]
    if space.get_select_type() != h5py.h5s.SEL_HYPERSLABS or not space.is_regular_hyperslab():
        return None
    spans = []
    for size, start, stride, count, block in zip(shape, *space.get_regular_hyperslab(), strict=True):
        if h5py.h5s.UNLIMITED in (count, block):
            count, block = (-(-(size - start) // stride), block) if block in (1, stride) else (1, size - start)
        if count == 1 or block == stride:
            spans.append(range(start, start + count * block))
        elif block == 1:
            spans.append(range(start, start + (count - 1) * stride + 1, stride))
        else:
            return None
    return spans


def _meet(a: range, b: range) -> list[int] | range:
    """The indices that two ranges share."""
    if a.step == b.step == 1:
        return range(max(a.start, b.start), min(a.stop, b.stop))
    return [index for index in a if index in b]


def _covers(boxes: Sequence[Box], whole: Box) -> bool:
    """Whether boxes cover ``whole``; of those with gaps only the first index along an axis counts."""
    boxes = [[span if span.step == 1 else range(span.start, span.start + 1) for span in box] for box in boxes]
    edges = []
    for place, span in enumerate(whole):
        ends = {end for box in boxes for end in (box[place].start, box[place].stop) if span.start < end < span.stop}
        edges.append(np.array(sorted(ends | {span.start})))
    covered = np.zeros([len(starts) for starts in edges], bool)
    for box in boxes:
        limits = zip(edges, box, strict=True)
        covered[tuple(slice(*np.searchsorted(starts, (span.start, span.stop))) for starts, span in limits)] = True
    return bool(covered.all())


def _external(array: Any, axis: int) -> dict[int, str]:
    """Indices whose bytes lie past the end of an external raw file; HDF5 reads these as 0."""
    own = Path(array.file.filename).absolute().parent
    prefix = os.environ.get("HDF5_EXTFILE_PREFIX", "").replace("${ORIGIN}", str(own))
    step = math.prod(array.shape[axis + 1 :]) * array.dtype.itemsize
    end, position = array.size * array.dtype.itemsize, 0
    absent: dict[int, str] = {}
    for name, offset, size in array.external:
        file = Path.cwd() / prefix / name  # where HDF5 looks
        needed = min(size, end - position)
        there = max(0, file.stat().st_size - offset) if file.is_file() else 0
        if there < needed:
            first, last = (position + there) // step, -(-(position + needed) // step)
            lines = range(array.shape[axis])
            if last <= len(lines):  # of the first axis; other axes recur throughout the file
                lines = range(first, last)
            why = f"{file} is truncated" if file.is_file() else f"{file} is not there"
            absent |= dict.fromkeys(lines, f"{why} ({there} of {needed} bytes)")
        position += needed
    return absent
