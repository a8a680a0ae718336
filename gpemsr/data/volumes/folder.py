"""A folder of numbered section images read as a volume."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gpemsr.data.volumes.formats import VolumeFormat
from gpemsr.data.volumes.numbered_files import common_header, numbered_images, read_image
from gpemsr.data.volumes.volume import Volume
from gpemsr.errors import InputError


class FolderVolume(Volume):
    """Section images in numeric order of their names.

    Args:
        path: the folder.
        on_missing: ``refuse`` a gap in the numbers or ``replace`` by the nearest earlier section.

    Raises:
        InputError: missing numbers when refused, images of another size or type, ambiguous names.
    """

    def __init__(self, path: Path, on_missing: str = "refuse"):
        files = numbered_images(path)
        numbers = range(min(files), max(files) + 1)
        missing = [number for number in numbers if number not in files]
        if missing and on_missing != "replace":
            raise InputError(
                f"{path}: section {missing[0]} is missing ({len(missing)} in all of {numbers[0]}-{numbers[-1]}); "
                "--on-missing replace puts the nearest earlier section in its place"
            )
        height, width, dtype = common_header(files.values())
        replaced: dict[int, int] = {}
        for number in missing:
            replaced[number] = replaced.get(number - 1, number - 1)
        super().__init__(
            source=path,
            shape=(len(numbers), height, width),
            dtype=dtype,
            voxel_size=None,
            numbers=numbers,
            replaced=replaced,
        )
        self._files = files

    def _read(self, index: int) -> np.ndarray:
        number = self.numbers[index]
        return read_image(self._files[self.replaced.get(number, number)])


FORMAT = VolumeFormat((), lambda path, dataset, on_missing: FolderVolume(path, on_missing), matches=Path.is_dir)
