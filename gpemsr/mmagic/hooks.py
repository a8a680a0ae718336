"""Weights in BasicSR's layout in addition to the Runner's checkpoints."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from mmagic.registry import HOOKS
from mmengine.hooks import Hook

from gpemsr.checkpoints.files import State, save_checkpoint
from gpemsr.files import replaced

GENERATOR = "generator."


def generator_state(state: dict[str, Any], prefix: str = "") -> State:
    """The network's part of a state dict of the editor, without the prefix."""
    prefix += GENERATOR
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


@HOOKS.register_module()
class BasicSRCheckpointHook(Hook):
    """Write ``net_g_<iteration>.pth`` whenever the Runner saves, and ``net_g_latest.pth`` at the end.

    They hold tensors alone: ``params`` and, with an ``EMAHook``, ``params_ema``. BasicSR's options take them as
    ``path.pretrain_network_g``. Resuming needs the Runner's own checkpoint.
    """

    priority = "LOW"  # after EMAHook, which puts its weights into the checkpoint

    def __init__(self) -> None:
        self.last: Path | None = None

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Write the network of a checkpoint that the Runner is about to write."""
        weights = {"params": generator_state(checkpoint["state_dict"])}
        if "ema_state_dict" in checkpoint:  # EMAHook has swapped them: the averaged ones are the model's
            weights = {
                "params": generator_state(checkpoint["ema_state_dict"], "module."),
                "params_ema": weights["params"],
            }
        self.last = Path(runner.work_dir, f"net_g_{checkpoint['meta']['iter']}.pth")
        save_checkpoint(self.last, weights)

    def after_train(self, runner: Any) -> None:
        """Name the last one ``net_g_latest.pth``, too."""
        if self.last is not None:
            latest = self.last.with_name("net_g_latest.pth")
            with replaced(latest) as temporary:
                shutil.copyfile(self.last, temporary)
