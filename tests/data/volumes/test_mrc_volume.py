"""MRC files: what the header says of the voxel size."""

import numpy as np
import pytest

from gpemsr.data.volumes.reader import open_volume

mrcfile = pytest.importorskip("mrcfile", reason="the extra formats is not installed")
STACK = np.random.default_rng(0).integers(0, 65535, (5, 20, 17), np.uint16)


@pytest.mark.parametrize(("kind", "size"), [("set_volume", (4, 4, 4)), ("set_image_stack", None)])
def test_an_image_stack_says_nothing_of_the_distance_of_sections(tmp_path, kind, size):
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(STACK)
        getattr(file, kind)()
        file.voxel_size = 40
    with open_volume(tmp_path / "a.mrc") as volume:
        assert volume.voxel_size == (size and pytest.approx(size))
        np.testing.assert_array_equal(volume.read(range(5)), STACK)
