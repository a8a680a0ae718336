"""A multi-page TIFF (plain, ImageJ or OME) read section by section."""

from __future__ import annotations

import logging
import math
import struct
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

import numpy as np
import tifffile

from gpemsr.data.volumes.formats import VolumeFormat
from gpemsr.data.volumes.volume import Volume, complete, nanometres
from gpemsr.data.volumes.writer import TiffStackWriter
from gpemsr.errors import InputError


class TiffVolume(Volume):
    """One stack of a TIFF file; pages are read when asked for.

    Args:
        path: the file.

    Raises:
        InputError: not a TIFF, truncated, pages of several sizes, RGB or several channels.
    """

    def __init__(self, path: Path):
        self._path = path
        messages = _Messages()
        logger = logging.getLogger("tifffile")
        logger.addHandler(messages)
        try:
            self._file = tifffile.TiffFile(path)
            try:
                self._open()
                if messages.texts:
                    raise InputError(f"{path}: truncated or damaged TIFF ({messages.texts[0]})")
            except BaseException:
                self._file.close()
                raise
        except InputError:
            raise
        except (tifffile.TiffFileError, OSError, struct.error, ValueError, IndexError, KeyError, TypeError) as error:
            raise InputError(f"{path}: truncated or damaged TIFF ({str(error)[:120]})") from None
        finally:
            logger.removeHandler(messages)

    def _open(self) -> None:
        tiff, path = self._file, self._path
        if not tiff.pages or not tiff.series:
            raise InputError(f"{path}: truncated or damaged TIFF (no pages)")
        first: Any = tiff.pages[0]
        if first.photometric in (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.PALETTE, tifffile.PHOTOMETRIC.YCBCR):
            raise InputError(f"{path}: a colour ({first.photometric.name}) TIFF; expected grey with 8 or 16 bits")
        if first.samplesperpixel != 1:
            raise InputError(f"{path}: {first.samplesperpixel} samples per pixel; expected one grey channel")
        for index, page in enumerate(tiff.pages):
            shape = cast(tifffile.TiffPage, page.keyframe).shape
            if shape != first.shape:
                raise InputError(f"{path}: section {index} is {_by(shape)}, the first one is {_by(first.shape)}")
        if len(tiff.series) != 1:
            raise InputError(f"{path}: holds {len(tiff.series)} image series; expected a single stack")
        series = tiff.series[0]
        leading = [(axis, size) for axis, size in zip(series.axes[:-2], series.shape[:-2], strict=True) if size > 1]
        if not series.axes.endswith("YX") or len(leading) > 1 or (leading and leading[0][0] in "CS"):
            raise InputError(f"{path}: axes {series.axes} {series.shape}; expected a stack of grey sections (ZYX)")
        if series.dtype is None:
            raise InputError(f"{path}: {first.bitspersample}-bit samples; expected whole numbers of 8 bits or more")
        depth = leading[0][1] if leading else 1
        self._pages: Any = series.pages
        # a stack of more than 4 GB as ImageJ saves it: one page, then the other sections back to back
        self._one_page = series.dataoffset if len(series.pages) < depth else None
        self._check_length(depth, series)
        super().__init__(
            source=path,
            shape=(depth, *series.shape[-2:]),
            dtype=series.dtype.newbyteorder("="),
            voxel_size=_voxel_size(tiff),
        )

    def _check_length(self, depth: int, series: tifffile.TiffPageSeries) -> None:
        size = self._file.filehandle.size
        if len(series.pages) < depth:
            end = None if self._one_page is None else self._one_page + math.prod(series.shape) * series.dtype.itemsize
            if end is None or end > size:
                raise InputError(f"{self._path}: truncated TIFF ({len(series.pages)} pages of {depth} sections)")
            return
        for index, page in enumerate(series.pages):
            if page is None:
                raise InputError(f"{self._path}: section {index} is missing in the file")
            ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=False)]
            if not ends or max(ends) > size:
                raise InputError(f"{self._path}: truncated TIFF (section {index} ends beyond the end of the file)")

    def _read(self, index: int) -> np.ndarray:
        _, height, width = self.shape
        if self._one_page is not None:
            dtype = self._file.series[0].dtype.newbyteorder(self._file.byteorder)
            offset = self._one_page + index * height * width * dtype.itemsize
            return self._file.filehandle.read_array(dtype, height * width, offset).reshape(height, width)
        try:
            return self._pages[index].asarray(maxworkers=1).reshape(height, width)
        except Exception as error:  # decoders of imagecodecs each raise their own
            raise InputError(f"{self._path}: section {index} is damaged ({str(error)[:120]})") from None

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


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in shape)


def _voxel_size(tiff: tifffile.TiffFile) -> tuple[float, float, float] | None:
    """(z, y, x) in nm from OME or ImageJ metadata, or from tifffile's own; None if not all three are there."""
    if tiff.ome_metadata:
        pixels = ElementTree.fromstring(tiff.ome_metadata).find(".//{*}Pixels")
        if pixels is None:
            return None
        sizes = [
            nanometres(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "ZYX"
        ]
    else:
        metadata = tiff.imagej_metadata or (tiff.shaped_metadata[0] if tiff.shaped_metadata else {})
        unit, tags = metadata.get("unit"), cast(tifffile.TiffPage, tiff.pages[0]).tags
        sizes = [nanometres(metadata.get("spacing"), unit)]
        for tag in ("YResolution", "XResolution"):
            count, units = tags[tag].value if tag in tags else (0, 1)
            sizes.append(nanometres(units / count if count else None, unit))
    return complete(sizes)


FORMAT = VolumeFormat((".tif", ".tiff"), lambda path, dataset, on_missing: TiffVolume(path), create=TiffStackWriter)
