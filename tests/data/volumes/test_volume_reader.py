"""Which reader a path gets."""

import pytest

from gpemsr.data.volumes.reader import open_volume
from gpemsr.errors import InputError


def test_an_absent_path_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        open_volume(tmp_path / "absent.tif")


def test_an_unknown_kind_is_refused_with_the_known_ones(tmp_path):
    (tmp_path / "a.mrc").write_bytes(b"")
    with pytest.raises(InputError, match=r"expected \.h5, .*\.tif, .*folder"):
        open_volume(tmp_path / "a.mrc")


@pytest.mark.parametrize("name", ["a.tif", "folder"])
def test_a_data_set_of_what_has_none_is_refused(tmp_path, name):
    (tmp_path / name).mkdir() if name == "folder" else (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match="--dataset raw"):
        open_volume(tmp_path / name, "raw")
