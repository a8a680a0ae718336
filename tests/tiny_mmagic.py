"""Stage III with MMagic, so small that an iteration takes a fraction of a second; skips where MMagic is absent.

Tests take what they need of MMagic and mmengine from here, so that they are skipped before they import these.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from gpemsr.compat import load_mmagic_registries

if any(find_spec(name) is None for name in ("mmagic", "mmcv", "mmengine")):
    pytest.skip("the extra 'mmagic' is not installed", allow_module_level=True)

load_mmagic_registries()

from mmagic.registry import DATASETS, MODELS  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.logging import MessageHub  # noqa: E402
from mmengine.optim.scheduler.lr_scheduler import CosineRestartLR  # noqa: E402

import gpemsr.mmagic  # noqa: E402, F401

__all__ = ["CONFIGS", "DATASETS", "MODELS", "Config", "CosineRestartLR", "MessageHub", "tiny_config"]

CONFIGS = Path(__file__).resolve().parents[1] / "configs" / "gpemsr"


def tiny_config(options: dict, folder: Path, **changes: Any) -> Config:
    """The shipped config for CPUs with the network, data and losses of a stage III option file.

    Batches are of two whole sections in their order, so that runs can be compared.

    Args:
        options: of :func:`tiny_stages.stage_options`.
        folder: the work folder.
        changes: dotted keys, with ``__`` for dots.
    """
    config = Config.fromfile(CONFIGS / "gpemsr_x8_demo.py")
    config.model.generator = options["network_g"]
    config.model.pixel_loss = options["train"]["pixel_opt"]
    config.model.contextual_loss = options["train"]["contextual_opt"]
    config.model.pretrain_prior = options["path"].get("pretrain_prior")
    for phase in ("train", "val"):
        section = {**options["datasets"][phase], "scale": options["scale"]}
        for key in ("num_worker_per_gpu", "batch_size_per_gpu", "gt_size"):
            section.pop(key, None)
        config[f"{phase}_dataloader"].dataset = section
    config.param_scheduler = config.param_scheduler[-1]  # without the warm-up
    config.train_dataloader.batch_size = 2
    config.train_dataloader.sampler.shuffle = False
    config.merge_from_dict(
        {
            "train_cfg.max_iters": 4,
            "train_cfg.val_interval": 100,
            "param_scheduler.periods": [100],
            "default_hooks.checkpoint.interval": 2,
            "default_hooks.logger.interval": 1,
            "custom_hooks": [{"type": "BasicSRCheckpointHook"}],
            "visualizer.vis_backends": [{"type": "LocalVisBackend"}],
            "work_dir": str(folder),
            "experiment_name": folder.name,
            **{key.replace("__", "."): value for key, value in changes.items()},
        }
    )
    return config
