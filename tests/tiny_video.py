"""A video network and data set for BasicSR's video models, whose validation score is known.

The network returns the centre frame (or, of a clip, every frame) times a gain of 1. The target of frame k is
brighter by k + 1 grey levels, so that its PSNR is 20 log10(255 / (k + 1)).
"""

import math
import sys

import torch
from torch import nn

from gpemsr.compat import importable_basicsr

with importable_basicsr():
    from basicsr.models.video_base_model import VideoBaseModel
    from basicsr.utils.registry import ARCH_REGISTRY, DATASET_REGISTRY, MODEL_REGISTRY

    from gpemsr.models.portable import PortableModel
    from gpemsr.models.stock_model import AnyDeviceValidation

FRAMES = 3
PSNR = sum(20 * math.log10(255 / (k + 1)) for k in range(FRAMES)) / FRAMES


class TinyVideoNet(nn.Module):
    """(b, t, c, h, w) -> the centre frame (b, c, h, w), or with ``clips`` all frames; one parameter."""

    def __init__(self, clips: bool = False):
        super().__init__()
        self.clips = clips
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, lq):
        assert lq.dim() == 5
        return self.gain * (lq if self.clips else lq[:, lq.shape[1] // 2])


class TinyVideoDataset(torch.utils.data.Dataset):
    """One folder 'a' of FRAMES frames, frame by frame, or as one clip."""

    def __init__(self, opt):
        self.opt = opt
        self.clips = opt.get("clips", False)
        self.data_info = {"folder": ["a"] * FRAMES}
        grey = torch.full((FRAMES, 3, 8, 8), 100 / 255)
        self.lq, self.gt = grey, grey + torch.arange(1, FRAMES + 1).view(-1, 1, 1, 1) / 255

    def __len__(self):
        return 1 if self.clips else FRAMES

    def __getitem__(self, index):
        if self.clips:
            return {"lq": self.lq.clone(), "gt": self.gt.clone(), "folder": "a"}
        item = {"lq": self.lq.clone(), "gt": self.gt[index].clone(), "folder": "a"}
        return item | {"idx": f"{index}/{FRAMES}", "lq_path": f"a/{index:08d}.png"}


class TinyVideoModel(AnyDeviceValidation, PortableModel, VideoBaseModel):
    """BasicSR's video model as ours extend it."""


def register_tiny_video() -> None:
    """Register all three, once."""
    if "TinyVideoNet" not in ARCH_REGISTRY:
        ARCH_REGISTRY.register(TinyVideoNet)
        DATASET_REGISTRY.register(TinyVideoDataset)
        MODEL_REGISTRY.register(TinyVideoModel)


def video_options(model_type: str) -> dict:
    """Two iterations at a learning rate that changes nothing visible."""
    dataset = {"name": "V", "type": "TinyVideoDataset"}
    metric = {"type": "calculate_psnr", "crop_border": 0, "test_y_channel": False}
    return {
        "name": "tiny",
        "model_type": model_type,
        "num_gpu": 0,
        "manual_seed": 0,
        "use_static_graph": True,
        "datasets": {"train": {**dataset, "num_worker_per_gpu": 0, "batch_size_per_gpu": 1}, "val": dataset},
        "network_g": {"type": "TinyVideoNet", "clips": model_type == "VideoRecurrentModel"},
        "path": {},
        "train": {
            "optim_g": {"type": "Adam", "lr": 1.0e-9},
            "scheduler": {"type": "MultiStepLR", "milestones": [9]},
            "total_iter": 2,
            "pixel_opt": {"type": "L1Loss"},
        },
        "val": {"val_freq": 2, "save_img": False, "suffix": None, "metrics": {"psnr": metric}},
        "logger": {"print_freq": 1, "save_checkpoint_freq": 2, "use_tb_logger": False},
    }


if __name__ == "__main__":
    from gpemsr.cli.train import main

    register_tiny_video()
    sys.exit(main())
