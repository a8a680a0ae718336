"""A folder of section images: which files, in which order, and reading one of them."""

from __future__ import annotations

import contextlib
import io
import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from gpemsr.data.volumes.volume import Opening, Volume, reason
from gpemsr.data.volumes.voxel_size import VoxelSize
from gpemsr.errors import InputError

SUFFIXES = {".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp", ".pgm"}
GAP = 20  # numbers that may be absent for each that is there; more are time stamps and no section numbers
_TIFF = (".tif", ".tiff")
_DTYPES: dict[str, np.dtype] = {"L": np.dtype(np.uint8), "I;16": np.dtype(np.uint16), "I;16B": np.dtype(np.uint16)}
_LENGTH = re.compile(r"[ _-]?(nm|um|µm|μm)($|[^a-z])", re.IGNORECASE)  # what follows a number that is a depth
_SECTION = re.compile(r"(^|[^a-z])(z|s|sec|sect|section|slice|layer|plane)[^a-z0-9]*$", re.IGNORECASE)


def numbered_images(folder: Path) -> dict[int, Path]:
    """Section files of ``folder`` by section number, ascending.

    The number is the one part of the names that differs (``s0012.png``, ``cell3_z012_ch00.png``, ``s0012_Y1_X1.png``).
    If several numbers differ, it is the one named so (``z``, ``s``, ``section``, ``slice``), if there is one such, or
    the last one, if all of them give the same order. All other parts of the names must agree, since otherwise the order
    is ambiguous. Depths in equal steps (``slice_0nm.png``, ``slice_40nm.png``) are counted from 0. Hidden files and
    files that are no images are ignored.

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
    parts = {path: re.split(r"(\d+)", path.stem) for path in files}  # text, number, text, ... text
    first = files[0]
    for path in files:
        if len(parts[path]) == 1:
            raise InputError(f"{path}: no section number in the name; expected one such as section_0012.png")
        if parts[path][::2] != parts[first][::2]:
            raise InputError(
                f"{path}: named unlike {first.name}, so the order of sections is ambiguous; "
                "expected names that differ in the section number only"
            )
    place = _section_place(folder, parts)
    numbers: dict[int, Path] = {}
    for path in files:
        number = int(parts[path][place])
        if number in numbers:
            raise InputError(f"{path}: section {number} appears twice, also as {numbers[number].name}")
        numbers[number] = path
    ascending = sorted(numbers)
    steps = {after - before for before, after in itertools.pairwise(ascending)}
    if len(steps) == 1 and steps != {1} and _LENGTH.match(parts[first][place + 1]):
        numbers = {index: numbers[number] for index, number in enumerate(ascending)}
    if max(numbers) - min(numbers) >= GAP * (len(numbers) + 10):
        raise InputError(
            f"{folder}: {len(numbers)} files numbered {min(numbers)} to {max(numbers)}; expected section numbers, "
            "one after the other"
        )
    return dict(sorted(numbers.items()))


def _section_place(folder: Path, parts: dict[Path, list[str]]) -> int:
    """Which part of the names is the section number."""
    names = list(parts.values())
    places = [place for place in range(1, len(names[0]), 2) if len({int(name[place]) for name in names}) > 1]
    named = [place for place in places or range(1, len(names[0]), 2) if _SECTION.search(names[0][place - 1])]
    if len(places) > 1 and len(named) == 1:
        unique = len({int(name[named[0]]) for name in names}) == len(names)
        stamps = [place for place in places if len({int(name[place]) for name in names}) == len(names)]
        places = named if unique or len(stamps) != 1 else places
    if len(places) > 1 and len(named) != 1 and _ascend_together(names, places):
        places = places[-1:]
    if len(places) > 1:
        texts = " and ".join(f"{names[0][place - 1]}{names[0][place]}" for place in places)
        raise InputError(
            f"{folder}: file names differ in {len(places)} numbers, {texts}, so the order of sections is ambiguous; "
            "expected names that differ in the section number only"
        )
    return places[0] if places else named[-1] if named else len(names[0]) - 2


def _ascend_together(names: list[list[str]], places: list[int]) -> bool:
    """Whether the files have one order, whichever of the numbers they are sorted by."""
    rows = sorted([int(name[place]) for place in places] for name in names)
    return all(a < b for before, after in itertools.pairwise(rows) for a, b in zip(before, after, strict=True))


def read_image_header(path: Path) -> tuple[int, int, np.dtype]:
    """(height, width, dtype) of an image with one channel, of 8 or 16 bits or a TIFF; raises :class:`InputError`."""
    if path.suffix.lower() in _TIFF:
        with _tiff(path) as volume:
            return volume.shape[1], volume.shape[2], volume.dtype
    with _open(path, path) as image:
        return image.height, image.width, _DTYPES[image.mode]


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
            return volume.present(0)
    content = path.read_bytes()
    if content.startswith(b"\x89PNG"):
        with _open(path, io.BytesIO(content)) as image:
            image.verify()  # the checksums, which decoding does not insist on
    with _open(path, io.BytesIO(content)) as image:
        return np.asarray(image).astype(_DTYPES[image.mode], copy=False)


def image_voxel_size(path: Path) -> VoxelSize | None:
    """(z, y, x) in nm that the metadata of a TIFF say, such as one of an OME set."""
    if path.suffix.lower() not in _TIFF:
        return None
    with _tiff(path) as volume:
        return volume.voxel_size


def _tiff(path: Path) -> Volume:
    from gpemsr.data.volumes.tiff import TiffVolume

    return TiffVolume(path, Opening(on_missing="keep"), alone=True)


@contextlib.contextmanager
def _open(path: Path, content: Path | io.BytesIO) -> Iterator[Image.Image]:
    """The image, not decoded yet; what Pillow raises until the block ends becomes one line."""
    most, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # montages are larger than what Pillow allows
    try:
        with Image.open(content) as image:
            if image.mode not in _DTYPES:
                raise InputError(f"{path}: an image of mode {image.mode}; expected grey with 8 or 16 bits")
            yield image
    except InputError:
        raise
    except Exception as error:  # Pillow and its decoders raise many kinds
        raise InputError(f"{path}: damaged, or not an image that can be read ({reason(error)})") from None
    finally:
        Image.MAX_IMAGE_PIXELS = most
