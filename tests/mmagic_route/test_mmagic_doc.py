"""docs/mmagic.md: its commands run as they stand, on small networks and sections."""

import shlex
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from test_docs import CHECKOUT, blocks, shrink
from tiny_mmagic import CONFIGS
from tiny_stages import GPEMSR, tiny_network

import gpemsr.cli.test
from gpemsr.cli import lmdb, train_mmagic
from gpemsr.compat import importable_basicsr

with importable_basicsr():
    from basicsr.utils.logger import initialized_logger

PAGE = CHECKOUT / "docs" / "mmagic.md"
TINY = f"""
_base_ = "{CONFIGS}/gpemsr_x8_demo.py"
model = dict(generator=dict(_delete_=True, type="GPEMSR", scale=8, **{GPEMSR | {"num_frame": 5}}))
train_dataloader = dict(dataset=dict(gt_size=64))
train_cfg = dict(max_iters=2, val_interval=2)
default_hooks = dict(checkpoint=dict(interval=1))
visualizer = dict(vis_backends=[dict(type="LocalVisBackend")])
"""


@pytest.fixture
def workdir(tmp_path, monkeypatch):
    """A checkout after stages I and II and a run of BasicSR's route."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(CHECKOUT / "options", "options")
    shrink(Path("options/demo/test_x8.yml"))
    Path("configs/gpemsr").mkdir(parents=True)
    Path("configs/gpemsr/gpemsr_x8_demo.py").write_text(TINY)
    noise = np.random.default_rng(0).random((6, 64, 64), np.float32)
    stack = np.stack([cv2.GaussianBlur(section, (0, 0), 4) for section in noise])
    tifffile.imwrite("stack.tif", (255 * (stack - stack.min()) / np.ptp(stack)).astype(np.uint8))
    command = ["stack.tif", "--out", "demo/data", "--name", "demo", "--scales", "8", "--voxel-size", "50", "4", "4"]
    assert lmdb.main([*command, "--split", "train=0-3", "test=4-5"]) == 0
    for number, name in ((2, "stage2_x8"), (3, "stage3_x8")):
        Path(f"experiments/{name}/models").mkdir(parents=True)
        net = tiny_network(number) if number == 2 else tiny_network(3, num_frame=5)
        state = {"params": net.state_dict(), "params_ema": net.state_dict()}
        torch.save(state, f"experiments/{name}/models/net_g_latest.pth")
    return tmp_path


@pytest.mark.slow
def test_commands_run(workdir):
    initialized_logger.clear()  # as in a new process: a log file
    lines = [line for block in blocks(PAGE, "bash") for line in block.splitlines()]
    assert len(lines) == 8
    for program, *words in map(shlex.split, lines):
        if program == "torchrun":  # its options are left to torch
            assert words[2] == "tools/train_mmagic.py" and (CHECKOUT / words[2]).is_file()
            program, words = "gpemsr-train-mmagic", [*words[3:], "--check"]
        main = {"gpemsr-train-mmagic": train_mmagic.main, "gpemsr-test": gpemsr.cli.test.main}[program]
        assert main(words) == 0, words
    run = workdir / "work_dirs" / "gpemsr_x8_demo"
    assert {"iter_2.pth", "net_g_1.pth", "net_g_2.pth", "net_g_latest.pth"} <= {file.name for file in run.iterdir()}
    assert "# psnr" in next(workdir.glob("results/*/*.log")).read_text()
