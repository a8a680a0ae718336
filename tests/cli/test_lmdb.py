"""The command ``gpemsr-lmdb`` / ``tools/create_em_lmdb.py``."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from gpemsr.cli.lmdb import EXAMPLES, main, parse_crop, parse_splits, parser
from gpemsr.compat import importable_basicsr
from gpemsr.data.section_store import open_section_store
from gpemsr.errors import InputError

TOOL = Path(__file__).resolve().parents[2] / "tools" / "create_em_lmdb.py"
STACK = np.random.default_rng(0).integers(0, 255, (6, 32, 40), np.uint8)


@pytest.fixture
def stack(tmp_path):
    tifffile.imwrite(tmp_path / "cell.tif", STACK, photometric="minisblack")
    return tmp_path / "cell.tif"


def run(*arguments) -> int:
    return main([str(argument) for argument in arguments])


def test_the_tool_makes_lmdbs_and_verifies_them(stack, tmp_path):
    command = [sys.executable, TOOL, stack, "--out", tmp_path / "o", "--scales", "8", "16", "--degradation", "area"]
    command += ["--split", "train=0-3", "test=4-5", "--voxel-size", "50", "4", "4", "--verify"]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    names = sorted(path.name for path in (tmp_path / "o").iterdir())
    assert names == sorted(
        f"cell_{split}_{kind}.lmdb" for split in ("train", "test") for kind in ("hr", "lr_x8", "lr_x16")
    )
    assert "cell_test_lr_x8.lmdb: 2 sections of 4 x 4 uint8, voxel size (z, y, x) 50 x 32 x 32 nm" in process.stdout
    assert process.stdout.count("all sound") == 6
    assert "section/s" in process.stderr


def test_every_option_reaches_the_job(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["other/raw"] = np.repeat(STACK, 2, axis=0)
    code = run(
        tmp_path / "a.h5", "--dataset", "other/raw", "--out", tmp_path / "o", "--name", "n", "--volume", "v",
        "--scales", 2, "--degradation", "em", "--seed", 3, "--dose", 40, "--read-noise", 2, "--blur", 0.6,
        "--correlation", 0.4, "--line-correlation", 0.3, "--gain", 0.9, "--offset", 0.05,
        "--crop", "1:11,0:24,4:", "--every", 2, "--tile", 16, "--missing-sections", 5, "--voxel-size", 40, 3, 2,
    )  # fmt: skip
    assert code == 0
    metadata = json.loads((tmp_path / "o" / "n_lr_x2.lmdb" / "volume.json").read_text())
    entry = metadata["volumes"]["v"]
    assert metadata["degradation"] == {
        "kind": "em", "seed": 3, "dose": 40, "read_noise": 2, "blur": 0.6, "correlation": 0.4, "line_correlation": 0.3,
        "gain": 0.9, "offset": 0.05,
    }  # fmt: skip
    assert entry["sections"] == [1, 3, 5, 7, 9]
    assert entry["crop"] == {"z": [1, 11], "y": [0, 24], "x": [4, 40]}
    assert (entry["height"], entry["width"], entry["tile"]) == (12, 18, 8)
    assert entry["voxel_size"] == [80, 6, 4]
    assert entry["missing_sections"] == [{"section": 5, "replaced_by": 4}]
    assert entry["source"]["dataset"] == "other/raw"


def test_a_second_volume_is_appended(stack, tmp_path):
    options = ["--out", tmp_path / "o", "--name", "all", "--degradation", "area"]
    assert run(stack, *options, "--volume", "a") == 0
    assert run(stack, *options, "--volume", "b", "--append", "--verify") == 0
    assert list(open_section_store(tmp_path / "o" / "all_hr.lmdb", "lmdb").volumes) == ["a", "b"]


def test_verify_names_what_is_damaged(stack, tmp_path, capsys):
    assert run(stack, "--out", tmp_path / "o", "--degradation", "area") == 0
    path = tmp_path / "o" / "cell_hr.lmdb"
    assert run("--verify", path) == 0
    content = bytearray((path / "data.mdb").read_bytes())
    where = content.find(b"IDAT", len(content) // 2)
    content[where + 50] ^= 1
    (path / "data.mdb").write_bytes(content)
    capsys.readouterr()
    assert run("--verify", path) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert "is damaged" in error
    assert "cell/0000000" in error


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "give an input and --out"),
        (["absent.tif", "--out", "o"], "no such file"),
        (["cell.tif"], "give an input and --out"),
        (["cell.tif", "cell.tif", "--out", "o"], "2 inputs; expected one"),
        (["cell.tif", "--out", "o", "--crop", "0:4"], "--crop 0:4: expected such as"),
        (["cell.tif", "--out", "o", "--crop", ":,0:64,:"], "crop y 0:64 is not within 0:32"),
        (["cell.tif", "--out", "o", "--split", "train:0-3"], "--split train:0-3"),
        (["cell.tif", "--out", "o", "--dose", "3"], "dose=3.0: degradation bicubic takes no parameters"),
        (["cell.tif", "--out", "o", "--scales", "64"], "expected at least 64 x 64 for scale 64"),
        (["cell.tif", "--out", "o", "--name", "a/b"], "name 'a/b'"),
        (["cell.tif", "--out", "cell.tif"], "cell.tif"),
        (["truncated.tif", "--out", "o"], "truncated"),
        (["--verify", "absent.lmdb"], "absent.lmdb: no such folder"),
    ],
)
def test_bad_input_is_one_line_and_code_2(stack, tmp_path, monkeypatch, capsys, arguments, text):
    monkeypatch.chdir(tmp_path)
    Path("truncated.tif").write_bytes(stack.read_bytes()[:-9000])
    assert run(*arguments) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.strip() and "section/s" not in line]
    assert len(error) == 1
    assert text in error[0]
    assert not Path("o").exists()


def test_a_killed_run_leaves_no_final_name(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("volumes/raw", (4000, 64, 64), np.uint8, fillvalue=7)
    process = subprocess.Popen(
        [
            sys.executable,
            TOOL,
            tmp_path / "a.h5",
            "--out",
            tmp_path / "o",
            "--degradation",
            "area",
            "--on-missing",
            "keep",
        ],
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 30
    while not list(tmp_path.glob("o/.a_hr.tmp-*.lmdb/meta_info.txt")) and time.monotonic() < end:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert list((tmp_path / "o").glob(".*"))
    assert not list((tmp_path / "o").glob("a*"))


def test_the_examples_of_the_help_are_accepted():
    commands = [line.split()[1:] for line in EXAMPLES.splitlines() if line.strip().startswith("gpemsr-lmdb")]
    assert len(commands) >= 4
    for arguments in commands:
        known = parser().parse_args(arguments)
        parse_crop(known.crop)
        parse_splits(known.split)


def test_help(capsys):
    with pytest.raises(SystemExit) as end:
        main(["-h"])
    assert end.value.code == 0
    assert "examples:" in capsys.readouterr().out


def test_crop_and_split_texts():
    assert parse_crop("0:50,:,16:") == ((0, 50), (None, None), (16, None))
    assert parse_splits(["train=0-23", "test=24-29"]) == {"train": (0, 23), "test": (24, 29)}
    with pytest.raises(InputError, match="twice"):
        parse_splits(["a=0-1", "a=2-3"])


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("source", "options", "psnr"),
    [
        ("isbi2012_train", ["--split", "test=24-29"], 17.69),
        ("fib25_sample1", ["--every", "4", "--crop", ":,0:240,0:240", "--split", "test=200-249"], 25.00),
    ],
)
def test_psnr_of_bicubic_on_real_sections(em_data, tmp_path, source, options, psnr):
    with importable_basicsr():
        from basicsr.utils.matlab_functions import imresize
    assert run(em_data / source / "raw.tif", "--out", tmp_path, "--name", "em", *options) == 0
    hr, lr = (open_section_store(tmp_path / f"em_test_{kind}.lmdb", "lmdb") for kind in ("hr", "lr_x8"))
    values = []
    for number in hr.volumes["em"].sections:
        enlarged = np.rint(255 * np.clip(imresize(lr.read_float("em", number), 8), 0, 1))
        values.append(10 * np.log10(255**2 / np.mean((hr.read("em", number) - enlarged) ** 2)))
    assert np.mean(values) == pytest.approx(psnr, abs=0.01)
