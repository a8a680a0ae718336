"""Which reader a path gets."""

import sys
import textwrap

import numpy as np
import pytest

from gpemsr.data import volumes
from gpemsr.data.volumes.formats import formats
from gpemsr.data.volumes.ids import read_ids
from gpemsr.data.volumes.reader import open_volume
from gpemsr.errors import InputError

NPY = """
    import numpy as np
    from gpemsr.data.volumes.formats import VolumeFormat
    from gpemsr.data.volumes.volume import Volume

    class NpyVolume(Volume):
        def __init__(self, path, opening):
            self._array = np.load(path)
            super().__init__(path, opening, self._array.shape, self._array.dtype)

        def _read(self, index, y, x):
            return self._array[index, y, x]

    FORMAT = VolumeFormat((".npy",), NpyVolume)
"""


def test_an_absent_path_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        open_volume(tmp_path / "absent.tif")


def test_an_unknown_kind_is_refused_with_the_known_ones(tmp_path):
    (tmp_path / "a.xyz").write_bytes(b"")
    with pytest.raises(InputError, match=r"expected \.h5, .*\.tif, .*folder"):
        open_volume(tmp_path / "a.xyz")


@pytest.mark.parametrize("name", ["a.tif", "folder"])
def test_a_data_set_of_what_has_none_is_refused(tmp_path, name):
    (tmp_path / name).mkdir() if name == "folder" else (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match="--dataset raw"):
        open_volume(tmp_path / name, "raw")


@pytest.fixture
def npy_module(tmp_path, monkeypatch):
    """A module in the package of formats, for as long as the test."""
    (tmp_path / "npy.py").write_text(textwrap.dedent(NPY))
    monkeypatch.setattr(volumes, "__path__", [*volumes.__path__, str(tmp_path)])
    formats.cache_clear()
    yield
    formats.cache_clear()
    del sys.modules["gpemsr.data.volumes.npy"], volumes.npy


def test_one_module_makes_a_format_readable_for_grey_values_and_ids(npy_module, tmp_path):
    stack = np.random.default_rng(0).integers(0, 255, (3, 4, 5), np.uint8)
    np.save(tmp_path / "grey.npy", stack)
    np.save(tmp_path / "ids.npy", stack.astype(np.uint64))
    with open_volume(tmp_path / "grey.npy") as volume:
        np.testing.assert_array_equal(volume.read(range(3)), stack)
    np.testing.assert_array_equal(read_ids(tmp_path / "ids.npy"), stack)
    with pytest.raises(InputError, match=r"ids\.npy: uint64 voxels"):
        open_volume(tmp_path / "ids.npy")
