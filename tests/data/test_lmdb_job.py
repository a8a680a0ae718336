"""From a volume to LMDBs: geometry, splits, missing sections, degradation."""

import subprocess
import sys

import h5py
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from gpemsr.data import lmdb_job
from gpemsr.data.degradations import degrade
from gpemsr.data.em_lmdb import verify
from gpemsr.data.grey_values import GreyRange
from gpemsr.data.lmdb_job import LmdbJob, make_lmdbs
from gpemsr.data.section_store import open_section_store
from gpemsr.data.volumes.reader import open_volume
from gpemsr.errors import InputError, InputWarning
from gpemsr.files import exclusive

STACK = np.random.default_rng(0).integers(0, 255, (12, 37, 45), np.uint8)


@pytest.fixture
def volume(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK, photometric="minisblack")
    with open_volume(tmp_path / "a.tif", voxel_size=(50, 4, 4)) as volume:
        yield volume


def make(source, out, **options):
    job = {"out": out, "name": "cell", "volume": "cell", "scales": [4], "degradation": "area", **options}
    return make_lmdbs(source, LmdbJob(**job), progress=False)


def stacks(paths):
    """{file name: (z, y, x)} of LMDBs."""
    result = {}
    for path in paths:
        store = open_section_store(path, "lmdb")
        result[path.name] = np.stack([store.read("cell", number) for number in store.volumes["cell"].sections])
    return result


def test_one_lmdb_per_split_and_scale(volume, tmp_path):
    paths = make(volume, tmp_path / "o", scales=[4, 8], splits={"train": (0, 7), "test": (8, 11)})
    assert [path.name for path in paths] == [
        "cell_train_hr.lmdb",
        "cell_train_lr_x4.lmdb",
        "cell_train_lr_x8.lmdb",
        "cell_test_hr.lmdb",
        "cell_test_lr_x4.lmdb",
        "cell_test_lr_x8.lmdb",
    ]
    shapes = {name: stack.shape for name, stack in stacks(paths).items()}
    # 37 x 45 is cut at the top left to 32 x 40, a multiple of the largest scale
    assert shapes["cell_train_hr.lmdb"] == (8, 32, 40)
    assert shapes["cell_test_lr_x8.lmdb"] == (4, 4, 5)
    assert open_section_store(paths[4], "lmdb").volumes["cell"].sections == (8, 9, 10, 11)
    assert sum(verify(path).sections for path in paths) == 36


@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_geometry(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("geometry")
    starts = [data.draw(st.integers(0, size - room)) for size, room in zip(STACK.shape, (1, 8, 8), strict=True)]
    stops = [
        data.draw(st.integers(start + room, size))
        for start, size, room in zip(starts, STACK.shape, (1, 8, 8), strict=True)
    ]
    every = data.draw(st.integers(1, 4))
    tile = data.draw(st.sampled_from([None, 8, 16]))
    tifffile.imwrite(folder / "a.tif", STACK, photometric="minisblack")
    with open_volume(folder / "a.tif", voxel_size=(50, 4, 5)) as volume:
        paths = make(volume, folder, scales=[8, 4], crop=tuple(zip(starts, stops, strict=True)), every=every, tile=tile)
    (z0, y0, x0), (z1, y1, x1) = starts, stops
    expected = STACK[z0:z1:every, y0 : y0 + (y1 - y0) // 8 * 8, x0 : x0 + (x1 - x0) // 8 * 8]
    made = stacks(paths)
    np.testing.assert_array_equal(made["cell_hr.lmdb"], expected)
    for scale in (4, 8):
        lr = np.rint([255 * degrade(section / np.float32(255), scale, "area") for section in expected])
        np.testing.assert_array_equal(made[f"cell_lr_x{scale}.lmdb"], lr)
        store = open_section_store(folder / f"cell_lr_x{scale}.lmdb", "lmdb")
        assert store.volumes["cell"].sections == tuple(range(z0, z1, every))
        assert store.volumes["cell"].voxel_size == (50 * every, 4 * scale, 5 * scale)
        assert store.metadata["volumes"]["cell"]["crop"]["y"] == [y0, y0 + expected.shape[1]]


def test_sixteen_bit_stays_sixteen_bit(tmp_path):
    stack = np.random.default_rng(0).integers(0, 65535, (5, 16, 16), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    with open_volume(tmp_path / "a.tif") as volume:
        made = stacks(make(volume, tmp_path))
    np.testing.assert_array_equal(made["cell_hr.lmdb"], stack)
    means = stack.reshape(5, 4, 4, 4, 4).mean(axis=(2, 4))
    np.testing.assert_allclose(made["cell_lr_x4.lmdb"], means, atol=0.51)


def test_noise_does_not_depend_on_what_else_is_made(volume, tmp_path):
    options = {"degradation": "em", "seed": 5}
    whole = stacks(make(volume, tmp_path / "whole", scales=[4, 8], **options))["cell_lr_x4.lmdb"]
    part = stacks(make(volume, tmp_path / "part", crop=((6, 9), (0, 32), (0, 40)), **options))["cell_lr_x4.lmdb"]
    np.testing.assert_array_equal(whole[6:9], part)
    other = stacks(make(volume, tmp_path / "other", degradation="em", seed=6))["cell_lr_x4.lmdb"]
    assert (whole != other[:, :8, :10]).mean() > 0.5


def test_volume_json_records_how_it_was_made(volume, tmp_path):
    paths = make(
        volume,
        tmp_path,
        degradation="em",
        seed=5,
        parameters={"dose": 30, "read_noise": 2, "blur": 0.4},
        every=2,
        missing=[4],
    )
    metadata = open_section_store(paths[1], "lmdb").metadata
    given = {"kind": "em", "seed": 5, "dose": 30, "read_noise": 2, "blur": 0.4}
    assert metadata["degradation"] == {**given, "correlation": 0, "line_correlation": 0, "gain": 1, "offset": 0}
    assert metadata["scale"] == 4
    assert metadata["gpemsr_version"]
    entry = metadata["volumes"]["cell"]
    assert entry["source"]["shape"] == [12, 37, 45]
    assert entry["missing_sections"] == [{"section": 4, "replaced_by": 3}]
    assert entry["every"] == 2
    assert open_section_store(paths[0], "lmdb").metadata["degradation"] is None


def test_missing_sections_are_replaced_by_the_nearest_earlier_valid_one(volume, tmp_path):
    made = stacks(make(volume, tmp_path, missing=[4, 5, 11]))["cell_hr.lmdb"]
    np.testing.assert_array_equal(made, STACK[[0, 1, 2, 3, 3, 3, 6, 7, 8, 9, 10, 10], :36, :44])


def test_a_replacement_never_comes_from_another_split(volume, tmp_path):
    with pytest.raises(InputError, match="section 8 is missing and no valid one from 8 on"):
        make(volume, tmp_path / "o", splits={"train": (0, 7), "test": (8, 11)}, missing=[8])


def test_gaps_of_a_folder_are_recorded(tmp_path):
    from PIL import Image

    folder = tmp_path / "sections"
    folder.mkdir()
    for number in (5, 6, 8):
        Image.fromarray(STACK[number]).save(folder / f"s{number:03d}.png")
    paths = make(open_volume(folder, on_missing="replace"), tmp_path, splits={"train": (5, 7), "test": (8, 8)})
    np.testing.assert_array_equal(stacks(paths)["cell_train_hr.lmdb"], STACK[[5, 6, 6], :36, :44])
    entry = open_section_store(paths[0], "lmdb").metadata["volumes"]["cell"]
    assert entry["missing_sections"] == [{"section": 7, "replaced_by": 6}]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"scales": [4, 6]}, "multiple of the others"),
        ({"scales": [1]}, "integers of 2 or more"),
        ({"scales": [64]}, "expected at least 64 x 64 for scale 64"),
        ({"every": 0}, "every 0"),
        ({"tile": 10}, "multiple of the largest scale 4"),
        ({"seed": -1}, "seed -1"),
        ({"crop": ((None, None), (0, 38), (None, None))}, "crop y 0:38 is not within 0:37"),
        ({"crop": ((12, None), (None, None), (None, None))}, "crop z 12:12"),
        ({"splits": {"train": (0, 12)}}, "expected sections within 0-11"),
        ({"splits": {"train": (0, 7), "test": (7, 11)}}, "section 7 is in split train too"),
        ({"missing": [99]}, "missing section 99"),
        ({"splits": {"a": (1, 3)}, "every": 4}, "contains none of the chosen sections"),
        ({"splits": {"a.b": (0, 4)}}, "name 'a.b'"),
        ({"missing": [0]}, "section 0 is missing and no valid one"),
        ({"degradation": "em", "parameters": {"dose": -1}}, "dose=-1: expected a number > 0"),
        ({"append": True}, "nothing can be appended"),
    ],
)
def test_what_does_not_fit_is_refused_before_a_file_is_written(volume, tmp_path, options, text):
    with pytest.raises(InputError, match=text):
        make(volume, tmp_path / "o", **options)
    assert not (tmp_path / "o").exists()


def test_existing_lmdbs_are_refused_or_overwritten(volume, tmp_path):
    make(volume, tmp_path / "o")
    with pytest.raises(InputError, match="exists already"):
        make(volume, tmp_path / "o", crop=((0, 2), (None, None), (None, None)))
    paths = make(volume, tmp_path / "o", crop=((0, 2), (None, None), (None, None)), overwrite=True)
    assert verify(paths[0]).sections == 2
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == ["cell_hr.lmdb", "cell_lr_x4.lmdb"]


def test_another_degradation_is_not_appended(volume, tmp_path):
    make(volume, tmp_path / "o")
    job = LmdbJob(tmp_path / "o", "cell", "other", scales=[4], degradation="bicubic", append=True)
    with pytest.raises(InputError, match="degradation is"):
        make_lmdbs(volume, job, progress=False)


def test_a_section_that_fails_half_way_leaves_what_was_there(volume, tmp_path, monkeypatch):
    old = stacks(make(volume, tmp_path / "o"))["cell_hr.lmdb"]
    calls = []

    def fail(*arguments, **options):
        calls.append(1)
        if len(calls) == 5:
            raise InputError("section 5 is damaged")
        return degrade(*arguments, **options)

    monkeypatch.setattr(lmdb_job, "degrade", fail)
    with pytest.raises(InputError, match="section 5"):
        make(volume, tmp_path / "o", overwrite=True, missing=[1])
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == ["cell_hr.lmdb", "cell_lr_x4.lmdb"]
    np.testing.assert_array_equal(stacks([tmp_path / "o" / "cell_hr.lmdb"])["cell_hr.lmdb"], old)


def test_memory_does_not_grow_with_the_number_of_sections(tmp_path):
    code = (
        "import resource, sys; from gpemsr.cli.lmdb import main\n"
        "assert main([sys.argv[1], '--out', sys.argv[2], '--degradation', 'area', '--on-missing', 'keep']) == 0\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    for count in (10, 200):
        path = tmp_path / f"s{count}.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset("volumes/raw", (count, 512, 512), np.uint8, chunks=(5, 256, 256), fillvalue=7)
        process = subprocess.run(
            [sys.executable, "-c", code, path, tmp_path / f"o{count}"], capture_output=True, text=True, check=True
        )
        peaks.append(int(process.stdout.split()[-1]))
    # 190 more sections are 50 MB; the peak is in KiB
    assert peaks[1] - peaks[0] < 20_000


def odd(tmp_path, **changes):
    """The stack with some sections blank."""
    stack = STACK.copy()
    for number, value in changes.items():
        stack[int(number[1:])] = value
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    return tmp_path / "a.tif"


def test_blank_sections_are_all_named_before_anything_is_written(tmp_path):
    path = odd(tmp_path, z3=0, z7=9)
    with open_volume(path) as volume, pytest.raises(InputError, match=r"sections 3, 7 are missing or blank \(all 0\)"):
        make(volume, tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_blank_sections_are_replaced_and_recorded(tmp_path):
    path = odd(tmp_path, z3=0, z4=0)
    with open_volume(path, on_missing="replace") as volume:
        hr, _ = make(volume, tmp_path / "o")
    stored = stacks([hr])["cell_hr.lmdb"]
    for number in (3, 4):
        np.testing.assert_array_equal(stored[number], stored[2])
    report = verify(hr)
    assert report.replaced == ["cell/00000003", "cell/00000004"]
    assert "2 replaced by an earlier one (cell/00000003, cell/00000004)" in str(report)


def test_blank_sections_may_be_kept_and_verify_tells(tmp_path):
    path = odd(tmp_path, z3=0)
    with open_volume(path, on_missing="keep") as volume:
        hr, _ = make(volume, tmp_path / "o", tile=16)
    assert not stacks([hr])["cell_hr.lmdb"][3].any()
    assert open_section_store(hr, "lmdb").metadata["volumes"]["cell"]["blank_sections"] == [3]
    assert verify(hr).blank == ["cell/00000003"]


def test_a_part_that_is_blank_counts_as_blank(tmp_path):
    stack = STACK.copy()
    stack[3, :16] = 0
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    with open_volume(tmp_path / "a.tif") as volume, pytest.raises(InputError, match=r"section 3 .*part of it taken"):
        make(volume, tmp_path / "o", crop=((None, None), (0, 16), (None, None)))


@pytest.mark.parametrize(
    ("dtype", "low", "choice", "expected"),
    [
        ("uint16", 1000, "observed", (1000, 5080)),
        ("uint16", 0, GreyRange(0, 4095), (0, 4095)),
        ("int16", -2000, "observed", (-2000, 2080)),
        ("int8", -128, "full", (-128, 127)),
        ("float32", -0.5, GreyRange(-0.5, 4080), (-0.5, 4080)),
    ],
)
def test_a_range_maps_grey_values_and_is_inverted(tmp_path, dtype, low, choice, expected):
    stack = (STACK.astype(np.float64) if dtype == "int8" else STACK.astype(np.float64) * 16) + low
    stack.flat[:2] = low, low + (255 if dtype == "int8" else 4080)
    stack = stack.astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    with open_volume(tmp_path / "a.tif") as volume:
        hr, lr = make(volume, tmp_path / "o", grey_range=choice)
    store = open_section_store(hr, "lmdb")
    found = np.stack([store.read_float("cell", z) for z in range(len(stack))])
    grey = GreyRange(*expected)
    np.testing.assert_allclose(found, grey.to_unit(stack)[:, :36, :44], atol=1e-4)
    entry = store.metadata["volumes"]["cell"]
    recorded = entry["source"]["grey_values"]
    stored = store.read("cell", 0).astype(float) * recorded["step"] + recorded["offset"]
    np.testing.assert_allclose(stored, stack[0, :36, :44], atol=0.05)
    small = open_section_store(lr, "lmdb").read_float("cell", 0)
    np.testing.assert_allclose(small, found[0].reshape(9, 4, 11, 4).mean((1, 3)), atol=3e-3)


def test_signed_values_need_a_range_and_little_used_ones_are_told(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK.astype(np.int16), photometric="minisblack")
    with open_volume(tmp_path / "a.tif") as volume, pytest.raises(InputError, match=r"int16 voxels; .*--range"):
        make(volume, tmp_path / "o")
    tifffile.imwrite(tmp_path / "a.tif", STACK.astype(np.uint16) * 16, photometric="minisblack")
    with (
        open_volume(tmp_path / "a.tif") as volume,
        pytest.warns(InputWarning, match=r"0 to 4064 use 6% of the range 0 to 65535"),
    ):
        make(volume, tmp_path / "o")


def test_of_two_processes_that_append_one_waits_for_another_try(volume, tmp_path):
    paths = make(volume, tmp_path / "o")
    code = "import sys; from gpemsr.cli.lmdb import main; sys.exit(main(sys.argv[1:]))"
    common = [volume.source, "--out", tmp_path / "o", "--name", "cell", "--scales", "4", "--degradation", "area"]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, *common, "--append", "--volume", name], stderr=subprocess.PIPE, text=True
        )
        for name in ("one", "two")
    ]
    codes = [process.communicate() and process.returncode for process in running]
    ended = dict(zip(("one", "two"), codes, strict=True))
    held = set(open_section_store(paths[0], "lmdb").volumes)
    assert held == {"cell", *(name for name, code in ended.items() if code == 0)}
    assert 0 in ended.values()
    with exclusive(paths[0]), pytest.raises(InputError, match="another process is writing it"):
        make(volume, tmp_path / "o", volume="three", append=True)
    assert [path.name for path in (tmp_path / "o").iterdir() if path.name.startswith(".")] == []
