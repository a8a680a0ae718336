"""All three stages, so small that an iteration takes a fraction of a second: networks, sections and option files."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

import gpemsr

gpemsr.register()
from basicsr.archs import build_network  # noqa: E402

VQGAN = {"channels": [8, 8, 8, 8, 8], "num_codes": 16, "code_dim": 8, "norm_groups": 4}
INDEXER = {"channels": [8, 8, 8, 8, 16], "num_res_blocks": 1, "norm_groups": 4, "vqgan": VQGAN}
GPEMSR = {
    "num_feat": 8,
    "num_frame": 3,
    "num_extract_block": 1,
    "num_fusion_block": 1,
    "num_reconstruct_block": 1,
    "deformable_groups": 2,
    "prior": INDEXER,
    "perceptual": "vqgan",
    "vgg_weights": None,
    "flow": "train",
    "flow_weights": None,
    "flow_scale": 1,
    "flow_levels": 2,
}
NETWORKS = {1: ("VQGAN", VQGAN), 2: ("LatentIndexer", INDEXER), 3: ("GPEMSR", GPEMSR)}
MODELS = {1: "VQGANModel", 2: "LatentIndexerModel", 3: "GPEMSRModel"}
TRAIN_SETS = {1: "HRSectionDataset", 2: "SectionPairDataset", 3: "SectionWindowDataset"}
VAL_SETS = {1: "HRSectionDataset", 2: "SectionPairDataset", 3: "SectionWindowTestDataset"}
ADAM = {"type": "Adam", "lr": 0.001, "betas": [0.9, 0.99]}
LOSSES = {
    1: {
        "pixel_opt": {"type": "L1Loss"},
        "codebook_weight": 1.0,
        "gan_opt": {"type": "GANLoss", "gan_type": "wgan", "loss_weight": 0.1},
        "gan_start_iter": 2,
        "r1_opt": {"type": "R1Loss", "loss_weight": 0.1},
        "r1_every": 2,
        "optim_d": ADAM,
    },
    2: {"index_opt": {"type": "CodeLoss"}},
    3: {
        "pixel_opt": {"type": "L1Loss"},
        "contextual_opt": {"type": "ContextualLoss", "loss_weight": 0.01, "features": "vqgan"},
    },
}


def tiny_network(stage: int, scale: int = 8, **changes: Any) -> torch.nn.Module:
    """The network of a stage with random weights, always the same."""
    name, options = NETWORKS[stage]
    if stage > 1:
        options = {"scale": scale, **options}
    torch.manual_seed(0)
    net = build_network({"type": name, **options, **changes})
    if stage == 3:  # at its start it gives nearly the bilinear image, without the prior
        torch.nn.init.kaiming_normal_(net.conv_last.weight)
        torch.nn.init.kaiming_normal_(net.mpf.reduce.weight)
    return net


def write_sections(folder: Path, scale: int = 8, count: int = 4, shape: tuple[int, int] = (96, 112)) -> None:
    """``count`` HR sections of blobs in ``hr/v`` and their LR sections in ``lr_x<scale>/v``, as PNG files."""
    for name in ("hr", f"lr_x{scale}"):
        (folder / name / "v").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for z in range(count):
        hr = cv2.GaussianBlur(rng.random(shape, np.float32), (0, 0), 6)
        hr = cv2.normalize(hr, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
        lr = cv2.resize(hr, (shape[1] // scale, shape[0] // scale), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / "hr" / "v" / f"{z}.png"), hr)
        cv2.imwrite(str(folder / f"lr_x{scale}" / "v" / f"{z}.png"), lr)


def stage_options(stage: int, folder: Path, scale: int = 8, **train: Any) -> dict:
    """An option file of a stage on the sections that :func:`write_sections` has written into ``folder``.

    Further keywords go into ``train``.
    """
    data: dict[str, Any] = {"dataroot_gt": str(folder / "hr"), "io_backend": {"type": "disk"}}
    if stage > 1:
        data["dataroot_lq"] = str(folder / f"lr_x{scale}")
    if stage == 3:
        data["num_frame"] = GPEMSR["num_frame"]
    name, network = NETWORKS[stage]
    options = {
        "name": f"stage{stage}",
        "model_type": MODELS[stage],
        "num_gpu": 0,
        "manual_seed": 0,
        "datasets": {
            "train": {
                "name": "T",
                "type": TRAIN_SETS[stage],
                **data,
                "gt_size": 80 if stage == 1 else 64,  # the discriminator needs 70
                "num_worker_per_gpu": 0,
                "batch_size_per_gpu": 2,
            },
            "val": {"name": "V", "type": VAL_SETS[stage], **data},
        },
        "network_g": {"type": name, **network},
        "path": {},
        "train": {
            "optim_g": ADAM,
            "scheduler": {"type": "MultiStepLR", "milestones": [100]},
            "total_iter": 4,
            **LOSSES[stage],
            **train,
        },
        "val": {
            "val_freq": 100,
            "save_img": False,
            "metrics": {"psnr": {"type": "calculate_psnr", "crop_border": 0}},
        },
        "logger": {"print_freq": 1, "save_checkpoint_freq": 2, "use_tb_logger": False},
    }
    if stage == 1:
        options["network_d"] = {"type": "PatchDiscriminator", "channels": [4, 4, 4, 4]}
    else:
        options["scale"] = scale
        options["network_g"]["scale"] = scale
    return copy.deepcopy(options)


def trainable(net: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The parameters that are not frozen, by name."""
    return {name: p for name, p in net.named_parameters() if p.requires_grad}


def without_gradient(net: torch.nn.Module) -> list[str]:
    """Names of the trainable parameters that a backward pass left without a gradient."""
    return [name for name, p in trainable(net).items() if p.grad is None]


def parameters(net: torch.nn.Module) -> int:
    """Number of parameters."""
    return sum(p.numel() for p in net.parameters())


AFFINITY_NETWORKS = (
    {"type": "SuperhumanUNet", "channels": [2, 2, 3, 3, 4]},
    {"type": "MALAUNet", "num_feat": 2, "inc_factor": 2},
)


def write_network(path: Path, options: dict) -> str:
    """Write the checkpoint of a network with random weights, which says its options; return its path."""
    torch.manual_seed(0)
    metadata = {"key_names": "gpemsr", "network_g": options}
    torch.save({"params": build_network(dict(options)).state_dict(), "metadata": metadata}, path)
    return str(path)
