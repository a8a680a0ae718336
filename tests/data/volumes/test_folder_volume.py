"""Folders of section images: order, gaps, refusals."""

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from gpemsr.data.volumes.reader import open_volume
from gpemsr.errors import InputError


def write(folder, names_and_levels, dtype=np.uint8, shape=(6, 5)):
    folder.mkdir(exist_ok=True)
    for name, level in names_and_levels.items():
        image = np.full(shape, level, dtype)
        image[-1, -1] = level - 1 if level else 1  # a section of one value counts as blank
        if name.endswith(".tif"):
            tifffile.imwrite(folder / name, image)
        else:
            Image.fromarray(image).save(folder / name)
    return folder


def levels(volume) -> list[int]:
    return [int(volume.section(index)[0, 0]) for index in range(volume.shape[0])]


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.integers(0, 98), count=st.integers(2, 12), digits=st.sampled_from([1, 4]))
def test_order_is_numeric_not_alphabetic(tmp_path_factory, first, count, digits):
    folder = tmp_path_factory.mktemp("sections")
    write(folder, {f"cell3_z{number:0{digits}d}.png": number for number in range(first, first + count)})
    volume = open_volume(folder)
    assert levels(volume) == list(range(first, first + count))
    assert list(volume.numbers) == list(range(first, first + count))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_sections_keep_their_values(tmp_path, suffix):
    volume = open_volume(write(tmp_path / "a", {f"0.{suffix}": 300, f"1.{suffix}": 65535}, np.uint16))
    assert volume.dtype == np.uint16
    assert levels(volume) == [300, 65535]


def test_a_gap_is_refused_by_its_number(tmp_path):
    folder = write(tmp_path / "a", {f"{number}.png": number for number in (3, 4, 7)})
    with pytest.raises(InputError, match=r"sections 5, 6 are missing"):
        open_volume(folder)


def test_a_gap_is_filled_with_the_nearest_earlier_section_and_recorded(tmp_path):
    folder = write(tmp_path / "a", {f"{number}.png": number for number in (3, 4, 7)})
    volume = open_volume(folder, on_missing="replace")
    assert levels(volume) == [3, 4, 4, 4, 7]
    assert volume.replaced == {5: 4, 6: 4}


def test_a_gap_may_be_kept_black(tmp_path):
    folder = write(tmp_path / "a", {f"{number}.png": number for number in (3, 5)})
    volume = open_volume(folder, on_missing="keep")
    assert levels(volume) == [3, 0, 5]
    assert not volume.replaced


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ({"a1.png": 0, "b2.png": 0}, "ambiguous"),
        ({"1.png": 0, "01.png": 0}, "appears twice"),
        ({"1.png": 0, "1.tif": 0}, "appears twice"),
        ({"first.png": 0}, "no section number"),
        ({}, "no section images"),
    ],
)
def test_an_order_that_is_not_clear_is_refused(tmp_path, names, text):
    with pytest.raises(InputError, match=text):
        open_volume(write(tmp_path / "a", names))


def test_other_files_are_ignored(tmp_path):
    folder = write(tmp_path / "a", {"0.png": 1, "1.png": 2})
    (folder / "notes.txt").write_text("5 sections lost")
    (folder / ".2.png").write_text("hidden")
    assert levels(open_volume(folder)) == [1, 2]


def test_a_section_of_another_size_or_type_is_named(tmp_path):
    folder = write(tmp_path / "a", {"0.png": 1, "1.png": 2})
    write(folder, {"1.png": 2}, shape=(7, 5))
    with pytest.raises(InputError, match=r"1\.png: 7 x 5 uint8, but the first section is 6 x 5 uint8"):
        open_volume(folder)
    write(folder, {"1.png": 2}, np.uint16)
    with pytest.raises(InputError, match=r"1\.png: 6 x 5 uint16"):
        open_volume(folder)


def test_colour_is_refused(tmp_path):
    folder = write(tmp_path / "a", {"0.png": 1})
    Image.fromarray(np.zeros((6, 5, 3), np.uint8)).save(folder / "1.png")
    with pytest.raises(InputError, match=r"1\.png: an image of mode RGB"):
        open_volume(folder)


def test_a_damaged_section_is_named(tmp_path):
    folder = write(tmp_path / "a", {"0.png": 1})
    image = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    Image.fromarray(image).save(folder / "0.png")
    Image.fromarray(image).save(folder / "1.png")
    (folder / "1.png").write_bytes((folder / "1.png").read_bytes()[:2000])
    volume = open_volume(folder)
    with pytest.raises(InputError, match=r"1\.png: damaged"):
        volume.section(1)


@pytest.mark.parametrize(
    "name",
    ["cell_z{:03d}_ch00.png", "export_s{:04d}_Y1_X1.png", "slice_{:04d}_8bit.png", "20240101_sec{:d}.png", "{:d}.png"],
)
def test_the_section_number_may_stand_anywhere_in_the_name(tmp_path, name):
    volume = open_volume(write(tmp_path / "a", {name.format(number): number for number in (8, 9, 10, 11)}))
    assert levels(volume) == [8, 9, 10, 11]
    assert list(volume.numbers) == [8, 9, 10, 11]


def test_of_several_numbers_that_differ_the_one_called_so_counts(tmp_path):
    names = {f"run_{2000 + 7 * number}_z{number}.png": number for number in (3, 4, 5)}
    assert levels(open_volume(write(tmp_path / "a", names))) == [3, 4, 5]
    names = {f"run_{2000 - 7 * number}_{number}.png": number for number in (3, 4, 5)}
    with pytest.raises(InputError, match=r"differ in 2 numbers, run_1965 and _5, so the order"):
        open_volume(write(tmp_path / "b", names))


def test_of_several_numbers_that_ascend_together_the_last_one_counts(tmp_path):
    names = {f"2024-01-{number - 6:02d}_{number:03d}.png": number for number in (7, 8, 10)}
    assert levels(open_volume(write(tmp_path / "a", names), on_missing="keep")) == [7, 8, 0, 10]
    names["2024-01-05_009.png"] = 9
    with pytest.raises(InputError, match="differ in 2 numbers"):
        open_volume(write(tmp_path / "a", names))


def test_depths_in_equal_steps_are_sections(tmp_path):
    for name in ("slice_{}nm.png", "z{}_um_a.png"):
        volume = open_volume(write(tmp_path / name[:2], {name.format(depth): depth for depth in (0, 40, 80, 120)}))
        assert levels(volume) == [0, 40, 80, 120]
        assert list(volume.numbers) == [0, 1, 2, 3]


@pytest.mark.parametrize(("name", "depths"), [("slice_{}nm.png", (10, 12, 14, 17)), ("slice_{}.png", (10, 12, 14))])
def test_other_steps_are_missing_sections(tmp_path, name, depths):
    with pytest.raises(InputError, match="missing"):
        open_volume(write(tmp_path / "a", {name.format(depth): depth for depth in depths}))


def test_time_stamps_are_no_section_numbers(tmp_path):
    names = {f"scan_{20240101120000 + 100 * number}.png": number for number in range(5)}
    for on_missing in ("refuse", "replace", "keep"):
        with pytest.raises(InputError, match="5 files numbered 20240101120000 to 20240101120400; expected section"):
            open_volume(write(tmp_path / "a", names), on_missing=on_missing)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_an_image_unlike_the_others_is_named(tmp_path, suffix):
    write(tmp_path / "a", {f"{number}.{suffix}": number for number in range(4)})
    palette = Image.fromarray(np.zeros((6, 5), np.uint8)).convert("P")
    palette.save(tmp_path / "a" / f"2.{suffix}")
    with pytest.raises(InputError, match=rf"2\.{suffix}"):
        open_volume(tmp_path / "a")


def test_one_white_is_zero_image_of_a_folder_is_inverted(tmp_path):
    write(tmp_path / "a", {f"{number}.tif": number + 5 for number in range(3)})
    tifffile.imwrite(tmp_path / "a" / "1.tif", np.eye(6, 5, dtype=np.uint8) + 6, photometric="miniswhite")
    assert levels(open_volume(tmp_path / "a")) == [5, 248, 7]


def test_a_png_whose_checksum_is_wrong_is_refused(tmp_path):
    image = np.random.default_rng(0).integers(0, 30, (20, 20), np.uint8)
    for number in range(2):
        (tmp_path / "a").mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / "a" / f"{number}.png")
    path = tmp_path / "a" / "1.png"
    whole = path.read_bytes()
    for place in range(33, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            found = open_volume(tmp_path / "a").section(1)
        except InputError as error:
            assert "1.png" in str(error)
        else:
            np.testing.assert_array_equal(found, image)


def test_sections_beyond_the_limit_of_pillow_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert levels(open_volume(write(tmp_path / "a", {"0.png": 3, "1.png": 4}))) == [3, 4]
    assert Image.MAX_IMAGE_PIXELS == 10
