"""A folder of section images: which files, in which order, and reading one of them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from gpemsr.data.volumes.volume import Volume
from gpemsr.errors import InputError

SUFFIXES = {".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp", ".pgm"}
_TIFF = (".tif", ".tiff")
_DTYPES: dict[str, np.dtype] = {"L": np.dtype(np.uint8), "I;16": np.dtype(np.uint16), "I;16B": np.dtype(np.uint16)}
_NAME = re.compile(r"(.*?)(\d+)(\D*)")


def numbered_images(folder: Path) -> dict[int, Path]:
    """Section files of ``folder`` by section number, ascending.

    The number is the last one in the file's name (``s0012.png``, ``12.tif``, ``cell3_z012_bse.png``); all other
    parts of the names must agree, since otherwise the order is ambiguous. Hidden files and files that are no
    images are ignored.

    Raises:
        InputError: no images, a name without number, two files of one number, or names that differ elsewhere.
    """
    files = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")
    )
    if not files:
        raise InputError(f"{folder}: no section images; expected files such as 0000.png, 0001.png ...")
    numbers: dict[int, Path] = {}
    first = None
    for path in files:
        match = _NAME.fullmatch(path.stem)
        if match is None:
            raise InputError(f"{path}: no section number in the name; expected one such as section_0012.png")
        rest = (match[1], match[3])
        first = first or (rest, path)
        if rest != first[0]:
            raise InputError(
                f"{path}: named unlike {first[1].name}, so the order of sections is ambiguous; "
                "expected names that differ in the section number only"
            )
        number = int(match[2])
        if number in numbers:
            raise InputError(f"{path}: section {number} is there twice, also as {numbers[number].name}")
        numbers[number] = path
    return dict(sorted(numbers.items()))


def read_image_header(path: Path) -> tuple[int, int, np.dtype]:
    """(height, width, dtype) of an image with one channel, of 8 or 16 bits or a TIFF; raises :class:`InputError`."""
    if path.suffix.lower() in _TIFF:
        with _tiff(path) as volume:
            return volume.shape[1], volume.shape[2], volume.dtype
    with _open(path) as (image, dtype):
        return image.height, image.width, dtype


def common_header(files: Iterable[Path]) -> tuple[int, int, np.dtype]:
    """The :func:`read_image_header` of all files; raises :class:`InputError` if one differs from the first."""
    first = None
    for file in files:
        header = read_image_header(file)
        first = first or header
        if header != first:
            was, (height, width, dtype) = f"{first[0]} x {first[1]} {first[2]}", header
            raise InputError(f"{file}: {height} x {width} {dtype}, but the first section is {was}")
    assert first is not None
    return first


def read_image(path: Path) -> np.ndarray:
    """(height, width) of an image that :func:`read_image_header` accepts; raises :class:`InputError` for others."""
    if path.suffix.lower() in _TIFF:
        with _tiff(path) as volume:
            return volume.section(0)
    with _open(path) as (image, dtype):
        return np.asarray(image).astype(dtype, copy=False)


def _tiff(path: Path) -> Volume:
    from gpemsr.data.volumes.tiff import TiffVolume

    volume = TiffVolume(path)
    if volume.shape[0] != 1:
        volume.close()
        raise InputError(f"{path}: {volume.shape[0]} pages in one section file; expected one")
    return volume


@contextlib.contextmanager
def _open(path: Path) -> Iterator[tuple[Image.Image, np.dtype]]:
    """The image, not decoded yet, and its dtype; what Pillow raises until the block ends becomes one line."""
    try:
        with Image.open(path) as image:
            if image.mode not in _DTYPES:
                raise InputError(f"{path}: an image of mode {image.mode}; expected grey with 8 or 16 bits")
            yield image, _DTYPES[image.mode]
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError(f"{path}: not an image that can be read") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: damaged ({error})") from None
