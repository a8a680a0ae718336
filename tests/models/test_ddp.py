"""Two processes train each stage; DDP needs a gradient of every parameter in every backward pass."""

import os
import subprocess
import sys

import pytest
import torch
import yaml
from tiny_stages import stage_options, tiny_network, write_sections

ADVERSARIAL = {"gan_start_iter": 0, "r1_every": 2, "restart_dead_codes_every": 2, "ema_decay": 0.5}


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
    (tmp_path / "tiny.yml").write_text(yaml.safe_dump(options, sort_keys=False))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += ["-m", "gpemsr.cli.train", "-opt", "tiny.yml", "--launcher", "pytorch"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    experiment = tmp_path / "experiments" / f"stage{stage}"
    log = next(experiment.glob("*.log")).read_text()
    assert "iter:       4" in log
    assert all(f"{name}: " in log for name in losses)
    assert "# psnr: " in log
    assert torch.load(experiment / "models" / "net_g_latest.pth", weights_only=True)["params"]
