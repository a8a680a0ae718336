"""A folder of numbered section images read as a volume."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gpemsr.data.volumes.formats import VolumeFormat
from gpemsr.data.volumes.numbered_files import common_header, image_voxel_size, numbered_images, read_image
from gpemsr.data.volumes.volume import Opening, Volume


class FolderVolume(Volume):
    """Section images in the order of the numbers in their names; a gap in the numbers is a missing section.

    Raises:
        InputError: images of another size or type, ambiguous names.
    """

    def __init__(self, path: Path, opening: Opening):
        self._files = files = numbered_images(path)
        numbers = range(min(files), max(files) + 1)
        absent = {number: "no file has this number" for number in numbers if number not in files}
        height, width, dtype = common_header(files.values())
        super().__init__(
            path,
            opening,
            (len(numbers), height, width),
            dtype,
            lambda: image_voxel_size(files[numbers[0]]),
            numbers=numbers,
            absent=absent,
        )

    def _read(self, index: int, y: slice, x: slice) -> np.ndarray:
        file = self._files.get(self.numbers[index])
        return np.zeros(self.shape[1:], self.dtype)[y, x] if file is None else read_image(file)[y, x]


FORMAT = VolumeFormat((), FolderVolume, matches=lambda path: isinstance(path, Path) and path.is_dir())
