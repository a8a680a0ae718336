"""The scripts of benchmarks/ run, on small sizes, and print their tables."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from gpemsr.cli.lmdb import main as lmdb

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
