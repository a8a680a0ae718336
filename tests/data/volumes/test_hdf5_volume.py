"""HDF5: axes, voxel sizes, what is missing, what h5py cannot read."""

import contextlib
import json
import subprocess
import sys

import h5py
import numpy as np
import pytest

from gpemsr.data.volumes.ids import read_ids
from gpemsr.data.volumes.reader import open_volume
from gpemsr.errors import InputError

STACK = np.random.default_rng(0).integers(1, 255, (6, 8, 10), np.uint8)


def read(path, **options):
    with open_volume(path, **options) as volume:
        return volume.read(range(volume.shape[0]))


@contextlib.contextmanager
def written(path, data=STACK, name="volumes/raw", **options):
    with h5py.File(path, "w") as file:
        yield file.create_dataset(name, data=data, **options)


@pytest.mark.parametrize(
    "array", [STACK[..., None], STACK[None], STACK[:, None], STACK[None, ..., None], STACK[None, None]]
)
def test_axes_of_length_one_are_left_out(tmp_path, array):
    with written(tmp_path / "a.h5", array, "exported_data"):
        pass
    np.testing.assert_array_equal(read(tmp_path / "a.h5"), STACK)


def test_a_channel_is_taken_by_its_number_and_not_for_a_section(tmp_path):
    with written(tmp_path / "a.h5", np.stack([STACK, STACK // 2])):
        pass
    with pytest.raises(InputError, match=r"shape \(2, 6, 8, 10\); expected .*--channel"):
        open_volume(tmp_path / "a.h5")
    np.testing.assert_array_equal(read(tmp_path / "a.h5", channel=1), STACK // 2)
    with written(tmp_path / "b.h5", np.stack([STACK, STACK // 2], axis=-1)):
        pass
    np.testing.assert_array_equal(read(tmp_path / "b.h5", channel=1), STACK // 2)
    for options in ({"channel": 2}, {"channel": 1, "time": 1}):
        with pytest.raises(InputError, match="expected --channel 0 to 1, and no --time"):
            open_volume(tmp_path / "b.h5", **options)
    with written(tmp_path / "c.h5"):
        pass
    with pytest.raises(InputError, match="expected --channel 0 to 0"):
        open_volume(tmp_path / "c.h5", channel=1)


def test_a_channel_between_the_axes_of_space_is_never_taken_for_sections(tmp_path):
    with written(tmp_path / "a.h5", np.stack([STACK, STACK // 2], axis=1)):
        pass
    with pytest.raises(InputError, match=r"or from the only one of 2 to 4"):
        open_volume(tmp_path / "a.h5")
    np.testing.assert_array_equal(read(tmp_path / "a.h5", channel=1), STACK // 2)
    with written(tmp_path / "b.h5", np.stack([STACK[:3], STACK[:3] // 2], axis=1)):
        pass
    with pytest.raises(InputError, match=r"shape \(3, 2, 8, 10\); expected"):  # 3 sections or 3 channels?
        open_volume(tmp_path / "b.h5", channel=1)


@pytest.mark.parametrize("how", ["axistags", "labels"])
def test_axes_have_names(tmp_path, how):
    with written(tmp_path / "a.h5", STACK.transpose(2, 0, 1)[..., None], "d") as made:
        if how == "axistags":
            made.attrs["axistags"] = json.dumps({"axes": [{"key": key} for key in "xzyc"]})
        else:
            for dimension, name in zip(made.dims, "xzyc", strict=True):
                dimension.label = name
    np.testing.assert_array_equal(read(tmp_path / "a.h5"), STACK)


@pytest.mark.parametrize("place", ["volumes/raw", "volumes", "/"])
def test_the_voxel_size_may_stand_at_a_group_above(tmp_path, place):
    with written(tmp_path / "a.h5") as made:
        made.file[place].attrs["element_size_um"] = (0.05, 0.005, 0.004)
    with open_volume(tmp_path / "a.h5") as volume:
        assert volume.voxel_size == pytest.approx((50, 5, 4))


def test_the_nearest_voxel_size_counts_with_the_unit_beside_it(tmp_path):
    with written(tmp_path / "a.h5") as made:
        made.attrs["element_size_um"] = (0.05, 0.005, 0.004)
        made.file.attrs["resolution"] = (9, 9, 9)
    with written(tmp_path / "b.h5") as made:
        made.attrs["resolution"] = (50, 5, 4)
        made.file.attrs["units"] = "um"
    for name in ("a.h5", "b.h5"):
        with open_volume(tmp_path / name) as volume:
            assert volume.voxel_size == pytest.approx((50, 5, 4))


def test_a_voxel_size_that_is_given_replaces_one_that_makes_no_sense(tmp_path):
    with written(tmp_path / "a.h5") as made:
        made.attrs["resolution"] = 4.0
    with pytest.raises(InputError, match="--voxel-size gives it"):
        open_volume(tmp_path / "a.h5")
    with open_volume(tmp_path / "a.h5", voxel_size=(50, 5, 4)) as volume:
        assert volume.voxel_size == (50, 5, 4)


def virtual(folder):
    with h5py.File(folder / "stack.h5", "w") as file:
        layout = h5py.VirtualLayout(STACK.shape, "u1")
        for z, section in enumerate(STACK):
            with h5py.File(folder / f"s{z}.h5", "w") as part:
                part["image"] = section
            layout[z] = h5py.VirtualSource(f"s{z}.h5", "image", section.shape)
        file.create_virtual_dataset("volumes/raw", layout)
    return folder / "stack.h5"


def lose(file):
    file.unlink()


def rename(file):
    with h5py.File(file, "a") as opened:
        opened.move("image", "other")


def truncate(file):
    file.write_bytes(file.read_bytes()[:700])


@pytest.mark.parametrize("damage", [lose, rename, truncate])
def test_a_source_of_a_virtual_data_set_that_is_not_there_is_named(tmp_path, damage):
    path = virtual(tmp_path)
    np.testing.assert_array_equal(read(path), STACK)
    damage(tmp_path / "s3.h5")
    with pytest.raises(InputError, match=r"section 3 is missing .*s3\.h5"):
        open_volume(path)
    with open_volume(path, on_missing="replace") as volume:
        np.testing.assert_array_equal(volume.section(3), STACK[2])
        assert volume.replaced == {3: 2}
    if damage is not truncate:
        assert not read(path, on_missing="keep")[3].any()


def test_sections_that_no_source_covers_are_named(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["part"] = STACK[:4]
        layout = h5py.VirtualLayout(STACK.shape, "u1")
        layout[:4] = h5py.VirtualSource(file["part"])
        file.create_virtual_dataset("volumes/raw", layout)
    with pytest.raises(InputError, match="sections 4, 5 are missing"):
        open_volume(tmp_path / "a.h5")


@contextlib.contextmanager
def mapped(folder, is_filled=True, **options):
    with h5py.File(folder / "source.h5", "w") as file:
        made = file.create_dataset("a", STACK.shape, "u1", **options)
        if is_filled:
            made[:] = STACK
        layout = h5py.VirtualLayout(STACK.shape, "u1")
        yield made, layout, h5py.VirtualSource("source.h5", "a", STACK.shape)
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_virtual_dataset("raw", layout)


def test_sections_that_sources_cover_in_part_are_named(tmp_path):
    with mapped(tmp_path) as (_, layout, source):
        layout[:4] = source[:4]
        layout[4, :, :5] = source[4, :, :5]
        layout[4, :4, 5:] = source[4, :4, 5:]
        layout[5, :, ::2] = source[5, :, ::2]
    with pytest.raises(InputError, match=r"sections 4, 5 are missing .*covers all of it"):
        open_volume(tmp_path / "a.h5")


def test_sections_that_sources_cover_together_are_whole(tmp_path):
    with mapped(tmp_path) as (_, layout, source):
        layout[::2] = source[::2]
        layout[1::2, :3] = source[1::2, :3]
        layout[1::2, 3:, :6] = source[1::2, 3:, :6]
        layout[1::2, 2:, 6:] = source[1::2, 2:, 6:]
    np.testing.assert_array_equal(read(tmp_path / "a.h5"), STACK)


def test_a_mapping_without_end_is_read_as_far_as_its_source(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("part", data=STACK, maxshape=(None, 8, 10), chunks=(1, 8, 10))
        layout = h5py.VirtualLayout(STACK.shape, "u1", maxshape=(None, 8, 10))
        source = h5py.VirtualSource(".", "part", STACK.shape, maxshape=(None, 8, 10))
        layout[: h5py.h5s.UNLIMITED] = source[: h5py.h5s.UNLIMITED]
        file.create_virtual_dataset("raw", layout)
    np.testing.assert_array_equal(read(tmp_path / "a.h5", dataset="raw"), STACK)


def test_sections_of_which_a_source_lacks_a_chunk_are_named(tmp_path):
    with mapped(tmp_path, False, chunks=(1, 4, 5)) as (made, layout, source):
        made[:2] = STACK[:2]
        made[2, :4] = STACK[2, :4]
        made[4] = STACK[4]
        layout[1:5:2] = source[:2]
        layout[0] = source[2]  # lacks chunks
        layout[2] = source[3]  # was never written
        layout[4:] = source[3:5]  # of which the first was never written
    with pytest.raises(InputError, match=r"sections 0, 2, 4 are missing .*source\.h5: 2 of 4 chunks were never"):
        open_volume(tmp_path / "a.h5")


def test_a_source_smaller_than_what_is_mapped_is_named(tmp_path):
    with mapped(tmp_path, maxshape=(None, 8, 10)) as (made, layout, source):
        layout[:] = source
        made.resize(4, axis=0)
    with pytest.raises(InputError, match=r"sections .*5 are missing .*source\.h5"):
        open_volume(tmp_path / "a.h5")


@pytest.mark.parametrize("lost", [1, 81])
def test_sections_that_an_external_file_is_too_short_for_are_named(tmp_path, monkeypatch, lost):
    monkeypatch.chdir(tmp_path)
    with h5py.File("a.h5", "w") as file:
        parts = [("first.raw", 0, 240), ("rest.raw", 7, h5py.h5f.UNLIMITED)]
        file.create_dataset("raw", STACK.shape, "u1", external=parts)[:] = STACK
    np.testing.assert_array_equal(read(tmp_path / "a.h5"), STACK)
    (tmp_path / "first.raw").write_bytes(STACK.tobytes()[: 240 - lost])
    with pytest.raises(InputError, match=rf"{'section 2' if lost == 1 else 'sections 1, 2'} .*first\.raw is truncated"):
        open_volume(tmp_path / "a.h5")
    (tmp_path / "rest.raw").unlink()
    with pytest.raises(InputError, match=r"2, 3, 4, 5 are missing"):
        open_volume(tmp_path / "a.h5")


@pytest.mark.parametrize("chunks", [(2, 4, 5), None])
def test_chunks_that_were_never_written_are_named(tmp_path, chunks):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("volumes/raw", STACK.shape, "u1", chunks=chunks)
        if chunks:
            made[:4] = STACK[:4]
    with pytest.raises(InputError, match=r"sections .*4, 5 are missing .*never written"):
        open_volume(tmp_path / "a.h5")
    assert read_ids(tmp_path / "a.h5", dataset="volumes/raw").shape == STACK.shape  # ids may be sparse


def test_a_section_of_one_value_is_named(tmp_path):
    stack = STACK.copy()
    stack[4] = 7
    with written(tmp_path / "a.h5", stack):
        pass
    with open_volume(tmp_path / "a.h5") as volume, pytest.raises(InputError, match=r"section 4 is .*blank \(all 7\)"):
        volume.section(4)
    np.testing.assert_array_equal(read(tmp_path / "a.h5", on_missing="keep"), stack)


def test_a_filter_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((1, 8, 10))
        properties.set_filter(40_000, h5py.h5z.FLAG_OPTIONAL, ())
        made = h5py.h5d.create(file.id, b"raw", h5py.h5t.NATIVE_UINT8, h5py.h5s.create_simple(STACK.shape), properties)
        h5py.Dataset(made).id.write_direct_chunk((0, 0, 0), bytes(80), 0)
    with pytest.raises(InputError, match=r"filter 40000 .*not installed; pip install hdf5plugin"):
        open_volume(tmp_path / "a.h5")


def test_links_that_lead_nowhere_are_named(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = h5py.ExternalLink("absent.h5", "/raw")
        file["other"] = STACK
    with pytest.raises(InputError, match=r"link to absent\.h5"):
        open_volume(tmp_path / "a.h5", "raw")
    np.testing.assert_array_equal(read(tmp_path / "a.h5"), STACK)


def test_a_file_that_another_process_writes_is_refused(tmp_path):
    code = "import h5py, sys; f = h5py.File(sys.argv[1], 'w'); f['raw'] = [[[1]]]; print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "a.h5"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        with pytest.raises(InputError, match="open for writing elsewhere"):
            open_volume(tmp_path / "a.h5")
        process.stdin.close()
