"""Two processes train, validate and test as one does; DDP needs a gradient of each parameter in each backward pass."""

import re
import shutil

import cv2
import numpy as np
import pytest
import torch
from forked import run_processes
from tiny_stages import stage_options, tiny_network, write_sections
from tiny_trainings import KINDS, first_step, write

import gpemsr.cli.test


@pytest.mark.parametrize("stage", [1, 2, pytest.param(3, marks=pytest.mark.slow)])
def test_two_processes_train_and_validate_as_one_does(tmp_path, stage):
    write_sections(tmp_path)
    cv2.imwrite(str(tmp_path / "hr" / "v" / "1.png"), np.zeros((96, 112), np.uint8))
    options = stage_options(stage, tmp_path)
    options["datasets"]["train"]["dataset_enlarge_ratio"] = 2
    options["val"]["val_freq"] = 1
    options["train"]["total_iter"] = 2
    if stage == 1:
        options["train"] |= {"gan_start_iter": 0, "r1_every": 2, "restart_dead_codes_every": 2, "ema_decay": 0.5}
    else:
        options["path"]["pretrain_prior"] = str(tmp_path / "prior.pth")
        torch.save({"params": tiny_network(stage - 1).state_dict()}, tmp_path / "prior.pth")
    found = []
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        folder.mkdir()
        options["datasets"]["train"]["batch_size_per_gpu"] = 2 // processes
        write(folder / "tiny.yml", options)
        run_processes(folder, processes, "tiny.yml")
        log = next((folder / "experiments" / f"stage{stage}").glob("*.log")).read_text()
        assert re.search("V: 1 of 4 HR sections are blank and left out of the scores: .*1", log)
        assert "iter:       2" in log
        figures = re.findall(r"# (\w+): +(-?[\d.]+)", log.partition("End of training")[0])
        found.append({name: float(value) for name, value in figures[: len(figures) // 2]})
        assert "psnr" in found[0]
    assert found[1] == pytest.approx(found[0], abs=2e-4 if stage > 1 else 2e-3)


@pytest.mark.parametrize(
    "kind", [k if k in ("stage3", "segmenter") else pytest.param(k, marks=pytest.mark.slow) for k in KINDS]
)
def test_the_first_step_of_two_processes_is_that_of_one(tmp_path, kind):
    (losses, gradient), (losses_of_two, gradient_of_two) = (
        first_step(kind, tmp_path / str(processes), processes) for processes in (1, 2)
    )
    assert losses_of_two == pytest.approx(losses, rel=1e-6)
    torch.testing.assert_close(gradient_of_two, gradient, rtol=0, atol=3e-4 * gradient.abs().max().item())


@pytest.mark.slow
def test_two_processes_test_as_one_does(tmp_path):
    write_sections(tmp_path, count=3)
    shutil.copytree(tmp_path / "hr" / "v", tmp_path / "hr" / "w")
    shutil.copytree(tmp_path / "lr_x8" / "v", tmp_path / "lr_x8" / "w")
    torch.save({"params": tiny_network(3).state_dict()}, tmp_path / "net.pth")
    options = stage_options(3, tmp_path)
    del options["train"], options["logger"]
    options["datasets"] = {"test": options["datasets"]["val"]}
    options["path"]["pretrain_network_g"] = "net.pth"
    options["val"] |= {"save_img": True, "suffix": None}
    figures, pictures = [], []
    for processes in (1, 2):
        write(tmp_path / "tiny.yml", options | {"name": f"in_{processes}"})
        text = run_processes(tmp_path, processes, "tiny.yml", main=gpemsr.cli.test.main)
        figures.append(re.findall(r"# (\w+): (-?[\d.]+)", text))
        folder = tmp_path / "results" / f"in_{processes}" / "visualization"
        names = sorted(path.relative_to(folder) for path in folder.rglob("*.png"))
        pictures.append({str(name).partition("_in")[0]: (folder / name).read_bytes() for name in names})
    assert [name for name, _ in figures[0]] == ["psnr", "v", "w", "psnr_above_bilinear"]
    assert figures[0] == figures[1]
    assert len(pictures[0]) == 6
    assert pictures[0] == pictures[1]
