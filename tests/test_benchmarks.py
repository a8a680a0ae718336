"""The scripts of benchmarks/ run, on small sizes, and print their tables."""

import json
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from tiny_stages import write_network

from gpemsr.cli.lmdb import main as lmdb
from gpemsr.options.read import read_options

CHECKOUT = Path(__file__).resolve().parents[1]


def run(script: str, *arguments: str) -> list[list[str]]:
    """Cells of the rows that a script prints."""
    command = [sys.executable, str(CHECKOUT / "benchmarks" / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "---" not in line]


@pytest.mark.slow
def test_loading(tmp_path):
    stack = np.random.default_rng(0).integers(0, 256, (5, 320, 320), np.uint8)
    tifffile.imwrite(tmp_path / "stack.tif", stack, metadata={"axes": "ZYX"})
    _, *rows = run("bench_loader.py", "--data", str(tmp_path / "stack.tif"), "--tiles", "128", "--seconds", "0.1")
    assert len(rows) == 3
    assert all(float(row[1]) > 0 and float(row[3]) > 0 for row in rows)


@pytest.mark.slow
def test_training():
    _, *rows = run("bench_train.py", "--quick")
    assert [row[0] for row in rows] == ["step, fp32", "step, bf16", "contextual loss alone"]
    assert all(float(row[1]) > 0 for row in rows)


def test_a_gpu_run_out_of_time_keeps_its_rows(tmp_path):
    printed = run("bench_gpu.py", "--device", "cpu", "--quick", "--seconds", "7", "--out", str(tmp_path))
    text = (tmp_path / "gpu.md").read_text()
    assert "| 2048^2 |" in text
    assert "left out" in text
    assert len(printed) == sum(line.startswith("| ") and "---" not in line for line in text.splitlines())


def test_codebooks(tmp_path):
    stack = np.random.default_rng(0).integers(0, 256, (5, 64, 64), np.uint8)
    tifffile.imwrite(tmp_path / "hr.tif", stack, photometric="minisblack")
    assert lmdb([str(tmp_path / "hr.tif"), "--out", str(tmp_path), "--name", "hr", "--scales", "8"]) == 0
    data = str(tmp_path / "hr_hr.lmdb")
    few = ["--iterations", "3", "--indexer-iterations", "1", "--batch", "1", "--crop", "64"]
    _, ours, none = run(
        "codebooks.py", "--train", data, "--test", data, "--out", str(tmp_path), "--kinds", "0", "9", *few
    )
    assert ours[:2] == ["as published, 256 codes", "8"]
    assert none[0] == "no quantisation"
    assert all(3 < float(psnr) < 40 for psnr in (ours[3], none[3], none[6]))


@pytest.mark.slow
def test_what_pays(tmp_path):
    random = np.random.default_rng(0)
    tifffile.imwrite(tmp_path / "raw.tif", random.integers(0, 256, (8, 64, 64), np.uint8), photometric="minisblack")
    membranes = np.ones((8, 64, 64), np.uint8)
    membranes[:, ::16] = membranes[:, :, ::16] = 0
    tifffile.imwrite(tmp_path / "ids.tif", membranes, photometric="minisblack")
    split = ["--split", "train=0-5", "test=6-7"]
    assert lmdb([str(tmp_path / "raw.tif"), "--out", str(tmp_path), "--name", "hr", "--scales", "8", *split]) == 0
    segmenter = tmp_path / "segmenter.yml"
    crops = "datasets: {train: {crop_size: [2, 64, 64], labels: membranes}}\n"
    base = CHECKOUT / "options/benchmark/segmentation/superhuman_isbi2012.yml"
    segmenter.write_text(f"_base_: {base}\n{crops}")
    weights = write_network(tmp_path / "segmenter.pth", read_options(segmenter)["network_g"])
    trained = ["finer prior", "memory along z"]
    names = ["EDVR", "first piece", *trained]
    (tmp_path / "costs.json").write_text(json.dumps(dict.fromkeys(names, 1.0)))
    where = ["--out", str(tmp_path), "--name", "noise", "--edvr-iterations", "5"]
    data = ["--train", str(tmp_path / "hr_train_hr.lmdb"), "--test", str(tmp_path / "hr_test_hr.lmdb")]
    labels = ["--raw", str(tmp_path / "raw.tif"), "--ids", str(tmp_path / "ids.tif"), "--labels", "membranes"]
    tracing = ["--segmenter", "U-Net", str(segmenter), weights, "--tuning", "1"]
    few = ["--crop", "64", "--iterations", "3", "--indexer-iterations", "1", "--seeds", "0", "--steps", "HR", *trained]
    run("prior_steps.py", "train", *where, *data, *labels, *tracing, *few)
    head, *rows = run("prior_steps.py", "table", *where)
    assert head[3:] == ["psnr", "ssim", "haarpsi", "frc_nm", "U-Net", "U-Net, tuned"]
    assert [row[0] for row in rows] == ["HR", *trained]
    assert [row[2] for row in rows] == ["0", "2", "2"]
    assert all(3 < float(row[3]) < 40 for row in rows[1:])
    run("prior_steps.py", "picture", *where, *data[2:], "--steps", "HR", *trained)
    assert (tmp_path / "noise.png").stat().st_size > 1000


def test_commands_of_the_page_on_the_prior(monkeypatch):
    monkeypatch.chdir(CHECKOUT)
    monkeypatch.syspath_prepend("benchmarks")
    parser = runpy.run_path("benchmarks/prior_steps.py")["parser"]()
    page = Path("docs/prior.md").read_text()
    (block,) = re.findall(r"^```sh\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    commands = [shlex.split(line)[2:] for line in block.replace("\\\n", " ").splitlines()]
    parsed = [parser.parse_args(command) for command in commands]
    assert [arguments.command for arguments in parsed] == ["costs", "train", "train", "table", "picture"]
    files = [options for arguments in parsed[:3] for _, options, _ in arguments.segmenter]
    assert files and all(Path(file).is_file() for file in files)
