"""The networks that the package brings."""

import csv
from pathlib import Path

import pytest

from gpemsr.checkpoints import shipped
from gpemsr.checkpoints.shipped import SHIPPED, weights_file
from gpemsr.cli import demo, phantom
from gpemsr.errors import InputError

EACH = pytest.mark.parametrize("name", SHIPPED)
LIKE_FIB_SEM = [
    "--shape",
    "10",
    "128",
    "128",
    "--voxel-size",
    "40",
    "10",
    "10",
    "--blur",
    "6",
    "--dose",
    "250",
    "--jitter",
    "0.5",
    "--drift",
    "0.3",
]


@EACH
def test_has_a_model_card_and_a_log_and_is_small(name):
    file = weights_file(name)
    assert file.stat().st_size < 12e6
    assert file.with_suffix(".md").is_file()
    assert "psnr" in file.with_suffix(".log").read_text()


@EACH
def test_is_above_bicubic_on_a_synthetic_stack(name, tmp_path, capsys):
    stack = str(tmp_path / "stack.tif")
    assert phantom.main([stack, *LIKE_FIB_SEM]) == 0
    assert demo.main(["--consistent", "--weights", name, "--data", stack, "--out", str(tmp_path / "try")]) == 0
    with (tmp_path / "try" / "scores.csv").open(newline="") as file:
        mean = list(csv.DictReader(file))[-1]
    assert float(mean["psnr"]) > float(mean["psnr_bicubic"]) + 0.1


def test_a_path_is_itself(tmp_path):
    (tmp_path / "net.pth").touch()
    assert weights_file(tmp_path / "net.pth") == Path(tmp_path / "net.pth")


def test_a_damaged_one_is_refused(monkeypatch):
    monkeypatch.setattr(shipped, "SHIPPED", {"fib25-x8": "0" * 64})
    with pytest.raises(InputError, match="damaged"):
        weights_file("fib25-x8")
