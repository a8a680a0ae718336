"""BasicSR's base of all models, on any device and with files that are whole."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from basicsr.models.base_model import BaseModel
from basicsr.utils import get_root_logger
from basicsr.utils.dist_util import master_only
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from gpemsr.checkpoints.files import save_checkpoint
from gpemsr.errors import InputError
from gpemsr.options.place import PATH_KEY
from gpemsr.options.read import to_plain

TRIES = 3  # as many as BasicSR has, to write a checkpoint


class PortableModel(BaseModel):
    """Trains on several processes without CUDA too, and leaves no truncated checkpoint or training state.

    BasicSR writes them in place, so that a run that is killed while it saves leaves a part of one, which
    ``--auto_resume`` then takes.
    """

    def model_to_device(self, net: nn.Module) -> nn.Module:
        """Move ``net`` to the device and wrap it where several processes train.

        BasicSR always gives DDP a CUDA device. The option ``use_static_graph: true`` of its later versions works too.
        """
        if self.opt["dist"] and self.device.type == "cpu":
            unused = self.opt.get("find_unused_parameters", False)
            net = DistributedDataParallel(net.to(self.device), find_unused_parameters=unused)
        else:
            net = super().model_to_device(net)
        if self.opt["dist"] and self.opt.get("use_static_graph", False):
            net._set_static_graph()
        return net

    @master_only
    def save_network(
        self,
        net: nn.Module | list[nn.Module],
        net_label: str,
        current_iter: int,
        param_key: str | list[str] = "params",
    ) -> None:
        """Save state dicts and options of a network as ``<net_label>_<current_iter>.pth``; -1 is ``latest``."""
        nets = net if isinstance(net, list) else [net]
        keys = param_key if isinstance(param_key, list) else [param_key]
        checkpoint: dict[str, Any] = {}
        for network, key in zip(nets, keys, strict=True):
            checkpoint[key] = self.get_bare_model(network).state_dict()
            for name, value in checkpoint[key].items():
                checkpoint[key][name] = value.cpu()
        network = net_label.replace("net_", "network_")
        options = {k: None if PATH_KEY.search(k) else v for k, v in to_plain(self.opt[network]).items()}
        checkpoint["metadata"] = {"key_names": "gpemsr", network: options}  # weights of a path are in the state dict
        iteration = "latest" if current_iter == -1 else current_iter
        _save(Path(self.opt["path"]["models"], f"{net_label}_{iteration}.pth"), checkpoint)

    @master_only
    def save_training_state(self, epoch: int, current_iter: int) -> None:
        """Save what resuming needs as ``<current_iter>.state``; nothing at iteration -1, the end."""
        if current_iter == -1:
            return
        state = {
            "epoch": epoch,
            "iter": current_iter,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "schedulers": [scheduler.state_dict() for scheduler in self.schedulers],
        }
        _save(Path(self.opt["path"]["training_states"], f"{current_iter}.state"), state)


def _save(path: Path, content: dict) -> None:
    """Save ``content``; as in BasicSR, training goes on without a file that cannot be written."""
    for remaining in reversed(range(TRIES)):
        try:
            return save_checkpoint(path, content)
        except InputError as error:
            get_root_logger().warning(f"{error}; {remaining} tries left")
            time.sleep(1)
    return None
