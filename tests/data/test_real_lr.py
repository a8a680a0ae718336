"""LR sections of a microscope: their scale, their grey values, and how they lie on the HR sections."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from gpemsr.cli.lmdb import main
from gpemsr.data.real_lr import RealLR, measure_shift, pair_scale
from gpemsr.data.section_pair_dataset import SectionPairDataset
from gpemsr.data.section_store import open_section_store
from gpemsr.data.volumes.reader import open_volume
from gpemsr.errors import InputError

SCALE = 8


def tissue(sections: int = 3, height: int = 192, width: int = 256, seed: int = 0) -> np.ndarray:
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal((sections, height, width)), (0, 9, 9))
    return np.uint8(np.clip(128 + 40 * noise / noise.std(), 0, 255))


def binned(hr: np.ndarray, shift: tuple[int, int] = (0, 0)) -> np.ndarray:
    """LR sections whose content is shifted by so many HR pixels to the bottom and right."""
    z, y, x = hr.shape
    rolled = np.roll(hr, shift, axis=(1, 2)).astype(float)
    return rolled.reshape(z, y // SCALE, SCALE, x // SCALE, SCALE).mean((2, 4))


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Write ``hr.tif`` and ``lr.tif``; the working directory is theirs."""
    monkeypatch.chdir(tmp_path)

    def write(hr: np.ndarray, lr: np.ndarray) -> None:
        tifffile.imwrite("hr.tif", hr, photometric="minisblack")
        tifffile.imwrite("lr.tif", lr, photometric="minisblack")

    return write


def run(*words: str) -> int:
    return main(["hr.tif", "--lr", "lr.tif", "--out", "data", "--name", "pairs", *words])


@settings(max_examples=20, deadline=None)
@given(st.integers(-6, 6), st.integers(-6, 6), st.integers(0, 5))
def test_shifts_are_measured_to_a_tenth_of_an_lr_pixel(y, x, seed):
    hr = tissue(1, seed=seed)
    noise = np.random.default_rng(seed).normal(0, 4, (1, 24, 32))
    found = measure_shift(binned(hr)[0], (binned(hr, (y, x)) + noise)[0])
    assert np.allclose(found[:2], (y / SCALE, x / SCALE), atol=0.1)
    assert found[2] > 0.9


def test_lr_is_stored_as_it_is_with_the_range_of_hr(files):
    hr = tissue()
    lr = np.uint16(binned(hr) * 100 + 500)
    files(hr, lr)
    assert run("--lr-range", "500", "26000", "--split", "train=0-1", "test=2-2") == 0
    store = open_section_store("data/pairs_train_lr_x8.lmdb", "lmdb")
    assert np.array_equal(store.read("pairs", 1), np.rint((lr[1].astype(float) - 500) / 100).astype(np.uint8))
    pairs = SectionPairDataset(
        {
            "phase": "val",
            "name": "val",
            "type": "SectionPairDataset",
            "scale": SCALE,
            "dataroot_gt": "data/pairs_train_hr.lmdb",
            "dataroot_lq": "data/pairs_train_lr_x8.lmdb",
            "io_backend": {"type": "lmdb"},
        }
    )
    assert pairs[0]["gt"].shape == (1, 192, 256) and pairs[0]["lq"].shape == (1, 24, 32)


def test_the_registration_is_printed_and_recorded(files, capsys):
    hr = tissue()
    files(hr, np.uint8(binned(hr, (2, -3))))
    assert run() == 0
    recorded = json.loads(Path("data/pairs_lr_x8.lmdb/volume.json").read_text(encoding="utf-8"))
    entry = recorded["volumes"]["pairs"]
    assert recorded["degradation"] == {"kind": "real"}
    assert entry["lr_source"]["path"].endswith("lr.tif") and entry["lr_source"]["intensity_range"] == [0, 255]
    for number, fit in enumerate(entry["registration"]):
        assert fit["section"] == number and fit["correlation"] > 0.9
        assert (fit["y"], fit["x"]) == pytest.approx((0.25, -0.375), abs=0.1)
    table = capsys.readouterr().out.partition("section  shift y")[2].splitlines()
    assert len(table) == 4 and float(table[1].split()[1]) == pytest.approx(0.25, abs=0.1)


@pytest.mark.parametrize(
    ("shift", "expected"),
    [((0, 6), "shifted by more than 0.5 LR pixels (y, x), section 1 (+0.00, +0."), ((96, 100), "correlation with HR")],
)
def test_a_section_that_lies_elsewhere_is_refused_or_left_out(files, capsys, shift, expected):
    hr = tissue()
    lr = binned(hr)
    lr[1] = binned(hr, shift)[1]
    files(hr, np.uint8(lr))
    assert run() == 2
    assert expected in capsys.readouterr().err and not list(Path("data").glob("*.lmdb"))
    assert run("--missing-sections", "1") == 0
    store = open_section_store("data/pairs_lr_x8.lmdb", "lmdb")
    assert np.array_equal(store.read("pairs", 1), store.read("pairs", 0))


def test_a_blank_lr_section_is_named_by_the_number_of_hr_that_leaves_it_out(files, capsys):
    hr = tissue()
    lr = np.uint8(binned(hr))
    lr[1] = 0
    files(hr, lr)
    Path("lr.tif").unlink()
    Path("lr.tif").mkdir()
    for number, section in enumerate(lr, start=5):
        tifffile.imwrite(f"lr.tif/{number}.tif", section, photometric="minisblack")
    assert run() == 2
    assert "section 6 is missing or blank (all 0); --missing-sections 1 (numbers of HR)" in capsys.readouterr().err
    assert run("--missing-sections", "1") == 0


@pytest.mark.parametrize(
    ("lr", "sizes", "expected"),
    [
        ((2, 24, 32), (None, None), "expected the same number of sections"),
        ((3, 24, 31), (None, None), "expected HR = r x LR"),
        ((3, 192, 256), (None, None), "expected HR = r x LR"),
        ((3, 24, 32), ((40, 4, 4), (40, 16, 16)), "voxels of 40 x 16 x 16 nm; expected 8 times HR's, 40 x 4 x 4 nm"),
    ],
)
def test_stacks_that_do_not_belong_together_are_refused(files, lr, sizes, expected):
    files(tissue(), np.zeros(lr, np.uint8) + np.arange(lr[2], dtype=np.uint8))
    with open_volume("hr.tif", voxel_size=sizes[0]) as hr, open_volume("lr.tif", voxel_size=sizes[1]) as other:
        with pytest.raises(InputError, match=r"lr\.tif") as error:
            pair_scale(hr, other)
        assert expected in str(error.value)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--scales", "4"], "scales [4]: expected 8"),
        (["--degradation", "area"], "--degradation area: expected without --lr"),
        (["--dose", "30"], "--dose 30: expected without --lr"),
        (["--lr-range", "low"], "--lr-range low: expected full"),
        (["--crop", ":,4:,:"], "crop from 4: expected a multiple of the scale 8"),
    ],
)
def test_options_that_do_not_go_with_lr_are_refused(files, capsys, words, expected):
    hr = tissue()
    files(hr, np.uint8(binned(hr)))
    assert run(*words) == 2
    assert expected in capsys.readouterr().err


def test_a_range_of_lr_needs_lr(files, capsys):
    files(tissue(), tissue())
    assert main(["hr.tif", "--out", "data", "--lr-range", "0", "100"]) == 2
    assert "--lr-range 0 100: expected with --lr" in capsys.readouterr().err


def test_advice_on_the_range_names_the_option_of_lr(files, capsys):
    hr = tissue()
    files(hr, np.uint16(binned(hr)))
    assert run() == 0
    assert "--lr-range observed" in capsys.readouterr().err
    files(hr, np.float32(binned(hr)))
    assert run("--overwrite") == 2
    assert "--lr-range LOW HIGH" in capsys.readouterr().err


def test_crops_are_of_the_same_field(files):
    hr = tissue()
    files(hr, np.uint8(binned(hr)))
    assert run("--crop", "1:,64:160,32:") == 0
    store = open_section_store("data/pairs_lr_x8.lmdb", "lmdb")
    assert np.array_equal(store.read("pairs", 2), np.uint8(binned(hr))[2, 8:20, 4:])


def test_pairs_are_appended_to_pairs_only(files, capsys):
    hr = tissue()
    files(hr, np.uint8(binned(hr)))
    assert run() == 0 and run("--volume", "more", "--append") == 0
    assert main(["hr.tif", "--out", "data", "--name", "pairs", "--volume", "made", "--append"]) == 2
    assert "degradation is {'kind': 'real'}" in capsys.readouterr().err


def test_an_unprepared_pair_knows_its_scale(files):
    hr = tissue()
    files(hr, np.uint8(binned(hr)))
    with open_volume("hr.tif") as large, open_volume("lr.tif") as small:
        assert RealLR(large, small).scale == SCALE
