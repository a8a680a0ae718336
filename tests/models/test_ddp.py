"""Two processes train each stage; DDP needs a gradient of every parameter in every backward pass.

Two processes test stage III: the figures and pictures are those of one.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from tiny_stages import stage_options, tiny_network, write_sections

ADVERSARIAL = {"gan_start_iter": 0, "r1_every": 2, "restart_dead_codes_every": 2, "ema_decay": 0.5}


def run(folder: Path, options: dict, command: str, processes: int) -> str:
    """Run ``gpemsr-train`` or ``gpemsr-test`` in so many processes on the CPU; returns what they print."""
    (folder / "tiny.yml").write_text(yaml.safe_dump(options, sort_keys=False))
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    line = [sys.executable, *(torchrun if processes > 1 else []), "-m", f"gpemsr.cli.{command}", "-opt", "tiny.yml"]
    line += ["--launcher", "pytorch"] if processes > 1 else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "changes", "losses"),
    [(1, ADVERSARIAL, ("l_codebook", "l_d_real")), (2, {}, ("l_index",)), (3, {}, ("l_pix", "l_contextual"))],
    ids=["stage I", "stage II", "stage III"],
)
def test_two_processes_train_and_validate(tmp_path, stage, changes, losses):
    write_sections(tmp_path)
    options = stage_options(stage, tmp_path, **changes)
    options["datasets"]["train"]["batch_size_per_gpu"] = 1
    options["datasets"]["train"]["dataset_enlarge_ratio"] = 2
    options["val"]["val_freq"] = 4
    assert not options.get("find_unused_parameters")
    if stage > 1:
        options["path"]["pretrain_prior"] = "prior.pth"
        torch.save({"params": tiny_network(stage - 1).state_dict()}, tmp_path / "prior.pth")
    run(tmp_path, options, "train", 2)
    experiment = tmp_path / "experiments" / f"stage{stage}"
    log = next(experiment.glob("*.log")).read_text()
    assert "iter:       4" in log
    assert all(f"{name}: " in log for name in losses)
    assert "# psnr: " in log
    assert torch.load(experiment / "models" / "net_g_latest.pth", weights_only=True)["params"]


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
        text = run(tmp_path, options | {"name": f"in_{processes}"}, "test", processes)
        figures.append(re.findall(r"# (\w+): (-?[\d.]+)", text))
        folder = tmp_path / "results" / f"in_{processes}" / "visualization"
        names = sorted(path.relative_to(folder) for path in folder.rglob("*.png"))
        pictures.append({str(name).partition("_in")[0]: (folder / name).read_bytes() for name in names})
    assert [name for name, _ in figures[0]] == ["psnr", "v", "w", "psnr_above_bilinear"]
    assert figures[0] == figures[1]
    assert len(pictures[0]) == 6
    assert pictures[0] == pictures[1]
