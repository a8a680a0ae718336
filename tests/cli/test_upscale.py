"""gpemsr-upscale: exit codes, what it prints, one line for bad input."""

import json

import numpy as np
import pytest
import tifffile
import torch
import zarr
from tiny_stages import NETWORKS, tiny_network

from gpemsr.cli.upscale import main


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0).integers(1, 255, (4, 30, 42), np.uint8)
    tifffile.imwrite("lr.tif", noise, photometric="minisblack")
    (tmp_path / "bicubic.yml").write_text("network_g: {type: Bicubic, scale: 8}\n")

    def call(*words: str, source: str = "lr.tif") -> tuple[int, str, str]:
        voxels = ["--voxel-size", "40", "80", "80"]
        code = main([source, "sr.zarr", "-opt", "bicubic.yml", "--device", "cpu", *voxels, *words])
        return code, *capsys.readouterr()

    return call


def test_a_volume_is_made_and_reported(run):
    code, out, _ = run("--tile", "28", "--overlap", "12", "--halo", "4")
    assert code == 0
    assert "output: 4 x 240 x 336, voxel size 40 x 10 x 10 nm" in out and "tiles of 28 x 28 LR pixels" in out
    assert "sr.zarr: done" in out and "seams: grey values change" in out
    assert zarr.open_array("sr.zarr/0").shape == (4, 240, 336)


def test_a_dry_run_writes_nothing(run, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    code, out, _ = run("--dry-run", "--region", "1:3,:,:")
    assert code == 0 and "whole sections; blocks of 2 sections: 1" in out and "time: about" in out
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--region", "1:3"], "--region 1:3: expected such as"),
        (["--part", "3/2"], "--part 3/2: expected such as 2/8"),
        (["--resume"], "sr.zarr.run: no run to go on with"),
        (["--tile", "30"], "--tile 30: expected a multiple of 4"),
        (["--memory", "nan"], "--memory nan: expected GB, more than 0"),
        (["--memory", "0"], "--memory 0: expected GB, more than 0"),
        (["--depth", "0"], "--depth 0: expected 1 or more"),
        (["--depth", "-1", "--tile", "28", "--overlap", "12"], "--depth -1: expected 1 or more"),
        (["--batch", "0"], "--batch 0: expected 1 or more"),
        (["--device", "none"], "--device none: no such device here"),
        (["--device", "meta"], "--device meta: no such device here"),
        (["--preview", "place.bmp"], "--preview place.bmp: expected the name of a .png file"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run, tmp_path, words, said):
    before = sorted(tmp_path.rglob("*"))
    code, _, err = run(*words)
    assert code == 2 and err.count("\n") == 1 and said in err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_finished_volume_is_done_already(run):
    run()
    code, out, _ = run("--resume")
    assert code == 0 and "sr.zarr: done" in out


def test_weights_for_another_scale_are_one_line_and_exit_code_2(run, tmp_path):
    name, options = NETWORKS[3]
    torch.save({"params": tiny_network(3).state_dict()}, tmp_path / "x8.pth")
    (tmp_path / "x16.yml").write_text(json.dumps({"network_g": {"type": name, **options, "scale": 16}}))
    before = sorted(tmp_path.rglob("*"))
    code, _, err = run("--weights", "x8.pth", "-opt", "x16.yml")
    assert code == 2 and err.count("\n") == 1 and "x8.pth: not the weights of this GPEMSR" in err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_without_permission_is_refused(run, monkeypatch):
    monkeypatch.setattr("pathlib.Path.touch", lambda self: (_ for _ in ()).throw(PermissionError(13, "no permission")))
    code, _, err = run()
    assert code == 2 and "sr.zarr: cannot be written" in err


def test_failed_blocks_are_named_and_the_exit_code_is_1(run, monkeypatch):
    def fail(self, task, advance):
        raise RuntimeError("out of luck")

    monkeypatch.setattr("gpemsr.volume.run.Run._super_resolve", fail)
    code, _, err = run()
    assert code == 1
    assert "error: block 0, LR region 0:4,0:30,0:42: RuntimeError: out of luck" in err and "--resume tries" in err
