"""HDF5 data sets and Zarr arrays."""

import h5py
import numpy as np
import pytest

from gpemsr.data.volumes import array as array_volume
from gpemsr.data.volumes.reader import open_volume
from gpemsr.errors import InputError

zarr = pytest.importorskip("zarr")
STACK = np.random.default_rng(0).integers(0, 65535, (7, 12, 9), np.uint16)
needs_zarr_3 = pytest.mark.skipif(int(zarr.__version__.split(".")[0]) < 3, reason="Zarr format 3 needs zarr 3")
formats = pytest.mark.parametrize("zarr_format", [2, pytest.param(3, marks=needs_zarr_3)])


def read(path, **options) -> np.ndarray:
    with open_volume(path, **options) as volume:
        return volume.read(range(volume.shape[0]))


def hdf5(path, **datasets):
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name.replace("__", "/")] = values
    return path


@pytest.mark.parametrize("chunks", [None, (1, 12, 9), (3, 5, 4)])
def test_cremi_layout(tmp_path, chunks):
    with h5py.File(tmp_path / "a.hdf", "w") as file:
        raw = file.create_dataset("volumes/raw", data=STACK, chunks=chunks)
        raw.attrs["resolution"] = (40.0, 4.0, 4.0)
        file["volumes/labels/neuron_ids"] = np.zeros((7, 12, 9), np.uint64)
    with open_volume(tmp_path / "a.hdf") as volume:
        assert volume.voxel_size == (40, 4, 4)
        assert volume.dataset == "volumes/raw"
    np.testing.assert_array_equal(read(tmp_path / "a.hdf"), STACK)


def test_sections_may_be_read_in_any_order_and_slabs_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(array_volume, "SLAB_BYTES", 2 * STACK[0].nbytes)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("raw", data=STACK, chunks=(7, 12, 9))
    with open_volume(tmp_path / "a.h5") as volume:
        for index in (6, 0, 3, 2, 6):
            np.testing.assert_array_equal(volume.section(index), STACK[index])
        assert volume._slab[1].nbytes <= 2 * STACK[0].nbytes


@pytest.mark.parametrize(
    ("datasets", "dataset", "text"),
    [
        ({"a": STACK, "b": STACK}, None, "--dataset names it; it holds a, b"),
        ({"a": STACK}, "c", "no data set 'c'; it holds a"),
        ({"a": STACK[0]}, None, "holds no volumes"),
        ({"a": STACK[0]}, "a", r"shape \(12, 9\)"),
        ({"a": STACK.astype(np.float64)}, None, "float64 voxels"),
        ({"a": STACK[:0]}, None, "not empty"),
    ],
)
def test_hdf5_that_does_not_fit_is_refused(tmp_path, datasets, dataset, text):
    with pytest.raises(InputError, match=text):
        open_volume(hdf5(tmp_path / "a.h5", **datasets), dataset)


@pytest.mark.parametrize("resolution", [(40, 4), (40, 4, np.nan), (40, 4, 0)])
def test_a_resolution_that_is_no_voxel_size_is_refused(tmp_path, resolution):
    with h5py.File(hdf5(tmp_path / "a.h5", volumes__raw=STACK), "a") as file:
        file["volumes/raw"].attrs["resolution"] = resolution
    with pytest.raises(InputError, match="voxel size"):
        open_volume(tmp_path / "a.h5")


def test_truncated_hdf5_is_refused(tmp_path):
    path = hdf5(tmp_path / "a.h5", volumes__raw=STACK)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(InputError, match="truncated"):
        open_volume(path)


def save(folder, values, zarr_format, name=None):
    options = {"zarr_format": zarr_format} if int(zarr.__version__.split(".")[0]) > 2 else {}
    if name is None:
        zarr.save_array(str(folder), values, **options)
        return None
    group = zarr.open_group(str(folder), mode="a", **options)
    array = group.create_array if hasattr(group, "create_array") else group.create_dataset
    array(name, shape=values.shape, dtype=values.dtype, chunks=(1,) * (values.ndim - 3) + (2, 5, 5))[...] = values
    return group


@formats
def test_zarr_array(tmp_path, zarr_format):
    save(tmp_path / "a.zarr", STACK, zarr_format)
    np.testing.assert_array_equal(read(tmp_path / "a.zarr"), STACK)


@formats
def test_array_of_a_zarr_group(tmp_path, zarr_format):
    save(tmp_path / "a.zarr", STACK, zarr_format, "volumes/raw").require_group("volumes")
    np.testing.assert_array_equal(read(tmp_path / "a.zarr", dataset="volumes/raw"), STACK)
    with pytest.raises(InputError, match="no array 'other'"):
        open_volume(tmp_path / "a.zarr", "other")


@formats
@pytest.mark.parametrize("leading", [0, 2])
def test_ome_zarr_gives_the_finest_level_with_its_voxel_size(tmp_path, zarr_format, leading):
    shape = (1,) * leading + STACK.shape
    save(tmp_path / "a.zarr", STACK[:, ::2, ::2].reshape((1,) * leading + (7, 6, 5)), zarr_format, "s1")
    group = save(tmp_path / "a.zarr", STACK.reshape(shape), zarr_format, "s0")
    units = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    axes = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}][:leading] + units

    def level(path, *scale):
        return {"path": path, "coordinateTransformations": [{"type": "scale", "scale": [1.0] * leading + list(scale)}]}

    image = {"axes": axes, "datasets": [level("s1", 0.05, 0.008, 0.008), level("s0", 0.05, 0.004, 0.004)]}
    group.attrs.update({"multiscales": [image]} if zarr_format == 2 else {"ome": {"multiscales": [image]}})
    with open_volume(tmp_path / "a.zarr") as volume:
        assert volume.voxel_size == pytest.approx((50, 4, 4))
        assert volume.shape == STACK.shape
    np.testing.assert_array_equal(read(tmp_path / "a.zarr"), STACK)
    with open_volume(tmp_path / "a.zarr", "s1") as volume:
        assert volume.voxel_size == pytest.approx((50, 8, 8))


def test_zarr_that_does_not_fit_is_refused(tmp_path):
    save(tmp_path / "a.zarr", np.zeros((2, 7, 12, 9), np.uint8), 2)
    with pytest.raises(InputError, match=r"\(2, 7, 12, 9\)"):
        open_volume(tmp_path / "a.zarr")
    (tmp_path / "b.zarr").mkdir()
    with pytest.raises(InputError, match=r"b\.zarr"):
        open_volume(tmp_path / "b.zarr")


def test_a_rectangle_of_a_section_is_read_by_its_chunks(tmp_path, monkeypatch):
    stack = np.random.default_rng(0).integers(0, 255, (5, 12, 14), np.uint8)
    zarr.create_array(str(tmp_path / "v.zarr"), data=stack, chunks=(2, 4, 4))
    with open_volume(tmp_path / "v.zarr") as volume:
        for z in (3, 2, 0):
            np.testing.assert_array_equal(volume.region(z, slice(3, 9), slice(5, 14)), stack[z, 3:9, 5:14])
        assert volume._slab[1].shape == (2, 6, 9)
