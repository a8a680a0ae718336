"""Trainings of every kind that take seconds: the three stages, a baseline and a segmenter, as option files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
import yaml
from baseline_networks import demo_file
from forked import run, run_processes
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_stages import LOSSES, stage_options, tiny_network, write_sections

from gpemsr.options.read import read_options, to_plain

KINDS = ("stage1", "stage2", "stage3", "baseline", "segmenter")
STAGE_I = {"restart_dead_codes_every": 3, "quantize_start_iter": 1, "gan_start_iter": 2, "ema_decay": 0.5}
SEGMENTER = Path(__file__).parents[1] / "options" / "demo" / "segmentation" / "superhuman.yml"
SCHEDULE = {"type": "CosineAnnealingRestartLR", "periods": [1000], "restart_weights": [1], "eta_min": 1e-7}


def write_training(
    kind: str, folder: Path, total_iter: int = 8, save_every: int = 3, val_freq: int = 0, **train_set: Any
) -> Path:
    """Data and ``<kind>.yml`` of a training in ``folder``; keywords go into ``datasets.train``."""
    folder.mkdir(parents=True, exist_ok=True)
    options = _segmenter(folder) if kind == "segmenter" else _sections(kind, folder)
    options |= {"name": kind, "num_gpu": 0, "manual_seed": 7}
    if val_freq:
        options["val"]["val_freq"] = val_freq
    else:
        del options["datasets"]["val"], options["val"]
    options["datasets"]["train"] |= {"num_worker_per_gpu": 0, "batch_size_per_gpu": 2, **train_set}
    options["train"] |= {"total_iter": total_iter, "scheduler": SCHEDULE}
    options["logger"] = {"print_freq": 1, "save_checkpoint_freq": save_every, "use_tb_logger": False}
    return write(folder / f"{kind}.yml", options)


def write(file: Path, options: dict) -> Path:
    """Write an option file."""
    file.write_text(yaml.safe_dump(to_plain(options), sort_keys=False))
    return file


def _sections(kind: str, folder: Path) -> dict:
    if not (folder / "hr").exists():
        write_sections(folder, count=5)
    stage = 3 if kind == "baseline" else int(kind[-1])
    options = stage_options(stage, folder, **(STAGE_I if stage == 1 else {}))
    options["datasets"]["train"] |= {"use_hflip": True, "use_rot": True}
    if kind == "baseline":
        baseline = demo_file("edvr", 8)
        options |= {"model_type": baseline["model_type"], "network_g": baseline["network_g"]}
        options["datasets"]["train"] |= {"num_frame": 5, "gt_size": 32}
        options["datasets"]["val"]["num_frame"] = 5
        options["train"] = {"optim_g": options["train"]["optim_g"], "pixel_opt": LOSSES[3]["pixel_opt"]}
    elif stage > 1:
        options["path"]["pretrain_prior"] = str(folder / f"prior{stage}.pth")
        torch.save({"params": tiny_network(stage - 1).state_dict()}, folder / f"prior{stage}.pth")
    return options


def _segmenter(folder: Path) -> dict:
    ids = np.zeros((6, 60, 60), np.uint16)
    for cell in range(9):
        y, x = 20 * (cell // 3), 20 * (cell % 3)
        ids[:, y + 2 : y + 18, x + 2 : x + 18] = cell + 1
    for name, values in {"raw": np.where(ids > 0, 200, 40).astype(np.uint8), "ids": ids}.items():
        tifffile.imwrite(folder / f"{name}.tif", values, photometric="minisblack")
    options = read_options(SEGMENTER)
    options["network_g"] = {"type": "SuperhumanUNet", "channels": [4, 4, 4, 4, 4]}
    for section in options["datasets"].values():
        section |= {"dataroot_raw": str(folder / "raw.tif"), "dataroot_ids": str(folder / "ids.tif")}
        section |= {"sections": [0, 6], "every": 2}
    options["datasets"]["train"]["crop_size"] = [3, 32, 32]
    options["val"] |= {"block": [2, 40, 40], "context": [1, 10, 10], "thresholds": [0.3, 0.5]}
    return options


def weights_of(file: Path) -> dict[str, torch.Tensor]:
    """All tensors of a checkpoint."""
    loaded = torch.load(file, weights_only=True)
    return {f"{key}.{name}": v for key in loaded if key.startswith("params") for name, v in loaded[key].items()}


def same_weights(first: Path, second: Path) -> bool:
    """Whether two checkpoints hold the same bits."""
    one, other = weights_of(first), weights_of(second)
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def first_step(kind: str, folder: Path, processes: int, batch: int = 2) -> tuple[dict[str, float], torch.Tensor]:
    """Losses of the first iteration of so many processes, with a batch of ``batch`` in all, and the gradient."""
    file = write_training(kind, folder, 1, 1, batch_size_per_gpu=batch // processes)
    arguments = [file.name, "--force_yml", "logger:use_tb_logger=true"]
    if processes == 1:
        code, output = run(folder, *arguments)
        assert code == 0, output
    else:
        run_processes(folder, processes, *arguments)
    events = EventAccumulator(str(folder / "tb_logger" / kind))
    events.Reload()
    losses = {n: events.Scalars(n)[0].value for n in events.Tags()["scalars"] if n.startswith("losses/")}
    state = torch.load(folder / "experiments" / kind / "training_states" / "1.state", weights_only=True)
    return losses, torch.cat([moments["exp_avg"].flatten() for moments in state["optimizers"][0]["state"].values()])
