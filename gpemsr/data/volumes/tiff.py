"""A multi-page TIFF (plain, ImageJ or OME) read section by section."""

from __future__ import annotations

import contextlib
import logging
import math
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

import numpy as np
import tifffile

from gpemsr.data.volumes.axes import named_axes
from gpemsr.data.volumes.formats import VolumeFormat
from gpemsr.data.volumes.volume import Opening, Volume, reason
from gpemsr.data.volumes.voxel_size import VoxelSize, complete, nanometres
from gpemsr.data.volumes.writer import TiffStackWriter
from gpemsr.errors import InputError, InputWarning

COLOUR = (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.PALETTE, tifffile.PHOTOMETRIC.YCBCR)
MOST_CHANNELS = 4  # more are sections of a stack that was saved without the names of its axes


class TiffVolume(Volume):
    """One stack of a TIFF file, or of the files of an OME set; pages are read when asked for.

    Args:
        alone: take one page alone, whatever its metadata say about other files.

    Raises:
        InputError: not a TIFF, truncated, pages of several sizes, RGB or several channels.
    """

    def __init__(self, path: Path, opening: Opening, alone: bool = False):
        self._path = path
        messages = _Messages()
        logger = logging.getLogger("tifffile")
        logger.addHandler(messages)
        try:
            self._file = tifffile.TiffFile(path)
            if self._file.is_ome and _ome_pixels(self._file) is None:  # damaged metadata of a sound file
                self._file.close()
                self._file = tifffile.TiffFile(path, is_ome=False)
            try:
                self._open(opening, alone)
                if messages.texts:
                    raise InputError(f"{path}: truncated or damaged TIFF ({messages.texts[0]})")
            except BaseException:
                self._file.close()
                raise
        except InputError:
            raise
        except Exception as error:  # tifffile, and its parsers of metadata, raise many kinds
            raise InputError(f"{path}: truncated or damaged TIFF ({reason(error)})") from None
        finally:
            logger.removeHandler(messages)

    def _open(self, opening: Opening, alone: bool) -> None:
        path, tiff = self._path, self._file
        if not tiff.pages:
            raise InputError(f"{path}: truncated or damaged TIFF (no pages)")
        if alone and len(tiff.pages) != 1:
            raise InputError(f"{path}: {len(tiff.pages)} pages in one section file; expected one")
        first = self._page(tiff.pages.first)
        series: Any = None if alone else _single_series(tiff, path)
        places, shape, pages = _places(series, tiff.pages, first, opening, path)
        # a stack of more than 4 GB as ImageJ saves it: one page, then the other sections back to back
        self._one_page = series.dataoffset if series is not None and len(pages) < len(places) else None
        if self._one_page is not None:
            if self._one_page + math.prod(series.shape) * series.dtype.itemsize > tiff.filehandle.size:
                raise InputError(f"{path}: truncated TIFF (1 page of {len(places)} sections)")
        elif len(pages) <= max(places):
            raise InputError(f"{path}: truncated TIFF ({len(pages)} pages of {len(places)} sections)")
        self._white_is_zero, absent = self._check_pages(pages, places, first)
        self._pages, self._places, self._ids = pages, places, opening.ids
        super().__init__(path, opening, shape, first.dtype, lambda: _voxel_size(tiff), absent=absent)

    def _check_pages(self, pages: Any, places: list[int], first: Any) -> tuple[np.ndarray, dict[int, str]]:
        """Which sections show 0 as white, and which ones are not there. Raises InputError for any that is unlike."""
        white, absent = np.zeros(len(places), bool), {}
        for index, place in enumerate(places if self._one_page is None else places[:1]):
            if pages[place] is None:
                absent[index] = "not in any file of the set"
                continue
            with _open_file(pages[place]) as page:
                page = self._page(page)
            if page.photometric in COLOUR:
                raise InputError(f"{self._path}: section {index} is in colour ({page.photometric.name}); expected grey")
            if page.samplesperpixel != 1 or page.shape != first.shape or page.dtype != first.dtype:
                was, now = (f"{_by(p.shape)} {p.dtype}" for p in (first, page))
                raise InputError(f"{self._path}: section {index} is {now}, the first one is {was}")
            ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=False)]
            if not ends or max(ends) > page.parent.filehandle.size:
                raise InputError(f"{self._path}: truncated TIFF (section {index} ends beyond the end of the file)")
            if 0 in page.databytecounts or 0 in page.dataoffsets:
                absent[index] = "a strip or tile was never written"
            white[index] = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
        if self._one_page is not None:
            white[:] = white[0]
        if white.any() and first.dtype.kind not in "ui":
            raise InputError(f"{self._path}: WhiteIsZero with {first.dtype} values; expected BlackIsZero")
        return white, absent

    @staticmethod
    def _page(page: Any) -> Any:
        """A page with its own tags, which tifffile takes from the first one where it can."""
        page = page.aspage() if isinstance(page, tifffile.TiffFrame) else page
        if page.dtype is None or page.shape == ():
            raise InputError(f"{page.parent.filename}: {page.bitspersample}-bit samples; expected 8 bits or more")
        return page

    def _read(self, index: int, y: slice, x: slice) -> np.ndarray:
        _, height, width = self.shape
        if self._one_page is not None:
            dtype = self.dtype.newbyteorder(self._file.byteorder)
            offset = self._one_page + self._places[index] * height * width * dtype.itemsize
            section = self._file.filehandle.read_array(dtype, height * width, offset)
        elif (page := self._pages[self._places[index]]) is None:
            section = np.zeros((height, width), self.dtype)
        else:
            with _open_file(page):
                section = self._page(page).asarray(maxworkers=1)
        section = section.reshape(height, width)[y, x]
        return ~section if self._white_is_zero[index] and not self._ids else section

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _Messages(logging.Handler):
    """Collects what tifffile only logs: a broken chain of pages is an error there, but no exception."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage()[:120])


@contextlib.contextmanager
def _open_file(page: Any) -> Iterator[Any]:
    """A page whose file is open in the block; of an OME set, tifffile leaves open the first file only."""
    handle = page.parent.filehandle
    was_closed = handle.closed
    if was_closed:
        handle.open()
    try:
        yield page
    finally:
        if was_closed:
            handle.close()


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in shape)


def _single_series(tiff: tifffile.TiffFile, path: Path) -> Any:
    """The only series; None for pages that are one stack, though tifffile makes several series of them."""
    if len(tiff.series) != 1:
        shapes = [cast(Any, page).keyframe.shape for page in tiff.pages]
        if odd := [index for index, shape in enumerate(shapes) if shape != shapes[0]]:
            was, now = _by(shapes[0]), _by(shapes[odd[0]])
            raise InputError(f"{path}: section {odd[0]} is {now}, the first one is {was}")
        if tiff.series[0].kind != "generic" and any(len(series.pages) != 1 for series in tiff.series):
            raise InputError(f"{path}: holds {len(tiff.series)} image series; expected a single stack")
        return None  # pages that differ in tags, or were written one by one
    return tiff.series[0]


def _places(
    series: Any, pages: Any, first: Any, opening: Opening, path: Path
) -> tuple[list[int], tuple[int, int, int], Any]:
    """Of each section its page, (z, y, x), and the pages."""
    if first.photometric in COLOUR:
        raise InputError(f"{path}: a colour ({first.photometric.name}) TIFF; expected grey")
    if first.samplesperpixel != 1:
        raise InputError(f"{path}: {first.samplesperpixel} samples per pixel; expected one grey channel")
    if series is None:
        return list(range(len(pages))), (len(pages), *first.shape[-2:]), pages
    axes, shape = series.axes.lower(), series.shape
    if not axes.endswith("yx"):
        raise InputError(f"{path}: axes {series.axes} {shape}; expected a stack of grey sections (ZYX)")
    if "z" not in axes:  # sections may be called pages, images or, by ImageJ, frames
        longest = [axis for axis, size in zip(axes[:-2], shape[:-2], strict=True) if size > 1 and axis not in "cs"]
        axes = axes.replace(longest[0], "z") if len(longest) == 1 else axes
        channels = shape[axes.index("c")] if "c" in axes else 0
        if channels > MOST_CHANNELS and opening.channel is None and channels == math.prod(shape[:-2]):
            warnings.warn(f"{path}: {channels} channels, taken as sections; --channel takes one", InputWarning, 2)
            axes = axes.replace("z", "_").replace("c", "z")
    found = named_axes([*axes], shape, opening, path)
    places = np.arange(math.prod(shape[:-2])).reshape(shape[:-2])
    places = places[tuple(found.fixed.get(place, slice(None)) for place in range(len(shape) - 2))]
    return places.ravel().tolist(), found.shape(shape), series.pages


def _ome_pixels(tiff: tifffile.TiffFile) -> ElementTree.Element | None:
    """What OME-XML says of the pixels; None if it is damaged."""
    try:
        return ElementTree.fromstring(tiff.ome_metadata or "").find(".//{*}Pixels")
    except (ElementTree.ParseError, ValueError):
        return None


def _voxel_size(tiff: tifffile.TiffFile) -> VoxelSize | None:
    """(z, y, x) in nm from OME or ImageJ metadata, or from tifffile's own; None if not all three are there."""
    if tiff.is_ome and (pixels := _ome_pixels(tiff)) is not None:
        return complete(
            [nanometres(pixels.get(f"PhysicalSize{a}"), pixels.get(f"PhysicalSize{a}Unit", "µm")) for a in "ZYX"]
        )
    metadata: Mapping = tiff.imagej_metadata or (tiff.shaped_metadata[0] if tiff.shaped_metadata else {})
    unit, tags = metadata.get("unit"), cast(tifffile.TiffPage, tiff.pages[0]).tags
    sizes = [nanometres(metadata.get("spacing"), metadata.get("zunit", unit))]
    for name in ("Y", "X"):
        count, units = tags[f"{name}Resolution"].value if f"{name}Resolution" in tags else (0, 1)
        sizes.append(nanometres(units / count if count else None, metadata.get(f"{name.lower()}unit", unit)))
    return complete(sizes)


FORMAT = VolumeFormat((".tif", ".tiff"), TiffVolume, create=TiffStackWriter)
