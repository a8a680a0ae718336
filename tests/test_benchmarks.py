"""The scripts of benchmarks/ run, on small sizes, and print their tables."""

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]


def run(script: str, *arguments: str) -> list[list[str]]:
    """Cells of the rows that a script prints."""
    command = [sys.executable, str(CHECKOUT / "benchmarks" / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "---" not in line]


@pytest.mark.slow
def test_loading():
    _, *rows = run("bench_loader.py", "--quick")
    assert len(rows) == 5
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
