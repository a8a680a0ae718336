"""Writing TIFF stacks."""

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from gpemsr.data.volumes import writer as volume_writer
from gpemsr.data.volumes.formats import create_volume
from gpemsr.data.volumes.reader import open_volume
from gpemsr.data.volumes.writer import TiffStackWriter
from gpemsr.errors import InputError

STACK = np.random.default_rng(0).integers(0, 65535, (5, 20, 17), np.uint16)


def write(path, stack, voxel_size=None):
    with TiffStackWriter(path, stack.shape, stack.dtype, voxel_size) as writer:
        for section in stack:
            writer.write(section)
    return path


lengths = st.floats(0.5, 1000).map(lambda length: round(length, 3))


@settings(deadline=None, max_examples=20)
@given(
    depth=st.integers(1, 4),
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    dtype=st.sampled_from([np.uint8, np.uint16]),
    voxel_size=st.tuples(lengths, lengths, lengths),
)
def test_a_stack_comes_back_with_its_voxel_size(tmp_path_factory, depth, height, width, dtype, voxel_size):
    stack = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (depth, height, width), dtype)
    path = write(tmp_path_factory.mktemp("stack") / "a.tif", stack, voxel_size)
    with open_volume(path) as volume:
        assert volume.dtype == dtype
        assert volume.voxel_size == pytest.approx(voxel_size, rel=1e-6)
        np.testing.assert_array_equal(volume.read(range(depth)), stack)


def test_imagej_metadata(tmp_path):
    with tifffile.TiffFile(write(tmp_path / "a.tif", STACK, (50, 4, 4))) as tiff:
        assert tiff.is_imagej
        assert not tiff.is_bigtiff
        assert tiff.imagej_metadata["slices"] == 5
        assert (tiff.imagej_metadata["unit"], tiff.imagej_metadata["spacing"]) == ("nm", 50)
        assert tiff.pages[0].tags["XResolution"].value == (1, 4)
        assert tiff.series[0].axes == "ZYX"


def test_bigtiff_where_classic_tiff_does_not_suffice(tmp_path, monkeypatch):
    monkeypatch.setattr(volume_writer, "BIGTIFF_BYTES", 1000)
    path = write(tmp_path / "a.tif", STACK, (50, 4, 4))
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_bigtiff
    with open_volume(path) as volume:
        assert volume.voxel_size == (50, 4, 4)


def test_an_unknown_voxel_size_is_not_invented(tmp_path):
    with open_volume(write(tmp_path / "a.tif", STACK)) as volume:
        assert volume.voxel_size is None


@pytest.mark.parametrize("earlier", [None, b"what was there"])
def test_an_exception_leaves_what_was_there(tmp_path, earlier):
    path = tmp_path / "a.tif"
    if earlier:
        path.write_bytes(earlier)
    with pytest.raises(RuntimeError, match="stop"), TiffStackWriter(path, STACK.shape, STACK.dtype) as writer:
        writer.write(STACK[0])
        raise RuntimeError("stop")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == ([("a.tif", earlier)] if earlier else [])


def test_an_incomplete_stack_is_not_published(tmp_path):
    with (
        pytest.raises(ValueError, match="1 sections written of 5"),
        TiffStackWriter(tmp_path / "a.tif", STACK.shape, STACK.dtype) as writer,
    ):
        writer.write(STACK[0])
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_one_clear_line_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tifffile.FileHandle, "write_array", full)
    with pytest.raises(InputError, match="No space left"):
        write(tmp_path / "a.tif", STACK)
    assert not list(tmp_path.iterdir())


def test_sections_that_do_not_belong_are_refused(tmp_path):
    with (
        pytest.raises(ValueError, match="does not belong"),
        TiffStackWriter(tmp_path / "a.tif", STACK.shape, STACK.dtype) as writer,
    ):
        writer.write(STACK[0].astype(np.uint8))
    with pytest.raises(InputError, match="float64 voxels"):
        TiffStackWriter(tmp_path / "a.tif", STACK.shape, np.float64)


def test_the_suffix_chooses_the_writer(tmp_path):
    with create_volume(tmp_path / "a.tiff", STACK.shape, STACK.dtype, (50, 4, 4)) as writer:
        for section in STACK:
            writer.write(section)
    with open_volume(tmp_path / "a.tiff") as volume:
        np.testing.assert_array_equal(volume.read(range(5)), STACK)
    with pytest.raises(InputError, match=r"a\.mrc: not a format that is written; expected \.h5, .*\.tiff"):
        create_volume(tmp_path / "a.mrc", STACK.shape, STACK.dtype)
