"""Ids are read from all formats of volumes."""

import h5py
import numpy as np
import pytest
import tifffile

from gpemsr.data.volumes.ids import read_ids
from gpemsr.errors import InputError

IDS = np.random.default_rng(0).integers(0, 2**40, (5, 6, 7), np.uint64)


def write(folder, form: str, ids: np.ndarray):
    """Write ids and return the path to read."""
    if form == "tif":
        tifffile.imwrite(folder / "a.tif", ids, photometric="minisblack")
        return folder / "a.tif"
    if form == "hdf":
        with h5py.File(folder / "a.hdf", "w") as file:
            file["volumes/raw"], file["volumes/labels/neuron_ids"] = np.zeros(ids.shape, np.uint8), ids
        return folder / "a.hdf"
    if form == "zarr":
        zarr = pytest.importorskip("zarr")
        group = zarr.open_group(str(folder / "a.zarr"), mode="w").require_group("volumes").require_group("labels")
        create = group.create_array if hasattr(group, "create_array") else group.create_dataset
        create("neuron_ids", shape=ids.shape, dtype=ids.dtype, chunks=(2, 5, 5))[...] = ids
        return folder / "a.zarr"
    for number, section in enumerate(ids, 1):
        tifffile.imwrite(folder / f"{number}.tif", section, photometric="minisblack")
    return folder


@pytest.mark.parametrize("form", ["tif", "hdf", "zarr", "folder"])
@pytest.mark.parametrize("dtype", [np.uint64, np.int64, np.uint16])
def test_ids_keep_their_values_and_width(tmp_path, form, dtype):
    ids = read_ids(write(tmp_path, form, IDS.astype(dtype)), slice(1, 5, 2))
    np.testing.assert_array_equal(ids, IDS.astype(dtype)[1:5:2])
    assert ids.dtype == np.dtype(f"u{np.dtype(dtype).itemsize}")


def test_a_flat_image_is_one_section(tmp_path):
    tifffile.imwrite(tmp_path / "flat.tif", np.ones((3, 4), np.uint16))
    assert read_ids(tmp_path / "flat.tif").shape == (1, 3, 4)


@pytest.mark.parametrize("name", ["absent.tif", "text.tif", "float.tif", "negative.tif", "empty.hdf", "a.txt"])
def test_ids_that_are_none_are_refused_with_the_file(tmp_path, name):
    path = tmp_path / name
    arrays = {"float.tif": np.ones((2, 3, 4), np.float32), "negative.tif": -np.ones((2, 3, 4), np.int32)}
    if name in arrays:
        tifffile.imwrite(path, arrays[name], photometric="minisblack")
    elif name == "empty.hdf":
        h5py.File(path, "w").close()
    elif name != "absent.tif":
        path.write_text("no ids")
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        read_ids(path)
