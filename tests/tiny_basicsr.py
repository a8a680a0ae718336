"""A training that takes BasicSR a second: its stock SRModel, EDSR and PairedImageDataset on four small PNGs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import yaml


def write_pngs(folder: Path) -> None:
    """Four HR images of 32 x 32 in ``hr/`` and their halves in ``lr/``."""
    rng = np.random.default_rng(0)
    for name, size in (("hr", 32), ("lr", 16)):
        (folder / name).mkdir()
        for index in range(4):
            cv2.imwrite(str(folder / name / f"{index}.png"), rng.integers(0, 255, (size, size, 3), dtype=np.uint8))


def tiny_options(folder: Path) -> dict:
    """The options, as an option file holds them."""
    paired = {
        "type": "PairedImageDataset",
        "dataroot_gt": str(folder / "hr"),
        "dataroot_lq": str(folder / "lr"),
        "io_backend": {"type": "disk"},
    }
    crop = {"gt_size": 16, "use_hflip": True, "use_rot": True, "num_worker_per_gpu": 0, "batch_size_per_gpu": 2}
    psnr = {"type": "calculate_psnr", "crop_border": 0, "test_y_channel": False}
    return {
        "name": "tiny",
        "model_type": "SRModel",
        "scale": 2,
        "num_gpu": 0,
        "manual_seed": 0,
        "datasets": {"train": {"name": "T", **paired, **crop}, "val": {"name": "V", **paired}},
        "network_g": {"type": "EDSR", "num_in_ch": 3, "num_out_ch": 3, "num_feat": 4, "num_block": 1, "upscale": 2},
        "path": {"pretrain_network_g": None, "resume_state": None},
        "train": {
            "optim_g": {"type": "Adam", "lr": 0.001, "betas": [0.9, 0.99]},
            "scheduler": {"type": "MultiStepLR", "milestones": [10], "gamma": 0.5},
            "total_iter": 2,
            "pixel_opt": {"type": "L1Loss"},
        },
        "val": {"val_freq": 2, "save_img": False, "suffix": None, "metrics": {"psnr": psnr}},
        "logger": {"print_freq": 1, "save_checkpoint_freq": 1, "use_tb_logger": True},
        "dist_params": {"backend": "nccl", "port": 29500},
    }


def write_options(folder: Path, options: dict) -> Path:
    """Write an option file into ``folder``."""
    file = folder / "tiny.yml"
    file.write_text(yaml.safe_dump(options, sort_keys=False))
    return file
