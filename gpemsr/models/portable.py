"""BasicSR's base of all models: on any device, with checkpoints that are whole, resumed exactly, stopped by signals."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from basicsr.models.base_model import BaseModel
from basicsr.utils import get_root_logger
from basicsr.utils.dist_util import master_only
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from gpemsr.checkpoints.files import check_weights, save_checkpoint
from gpemsr.checkpoints.training_states import remove_checkpoint, saved_iterations
from gpemsr.data.training_stream import items_per_step
from gpemsr.errors import InputError, RunError
from gpemsr.models.random_states import kept_random_states, random_states, restore_random_states
from gpemsr.models.step_guard import SKIPPED_STEPS, StepGuard
from gpemsr.models.stopping import STOPPING
from gpemsr.options.place import without_files
from gpemsr.options.read import to_plain

TRIES = 3  # as many as BasicSR has, to write a checkpoint
BEST = "best"  # in the place of the iteration in a file name
SCHEDULE = ("last_epoch", "_step_count", "_last_lr", "base_lrs")  # of a scheduler; the rest is the option file's


class PortableModel(BaseModel):
    """A model of BasicSR that a long training can rely on.

    It trains on several processes without CUDA too; its steps keep what is not finite from the weights; its
    checkpoints are whole and hold all that a training needs to go on as if it had not been interrupted.

    Attributes:
        iteration: steps done.
        samples: items taken by all processes.
    """

    scalars_of_validation: tuple[str, ...] = ()
    """Names in addition to those of val.metrics, for logger.keep_best."""

    def __init__(self, opt: dict) -> None:
        super().__init__(opt)
        if not self.is_train:
            return
        train = opt["train"]
        self.iteration = self.samples = self.saved = self.bad_items = 0
        self.keys: Any = None
        self.best: float | None = None
        self.guard = StepGuard(
            self.optimizers,
            [net for net in vars(self).values() if isinstance(net, nn.Module)],
            train.get("grad_clip"),
            train.get("skip_non_finite", SKIPPED_STEPS),
        )
        for name in ("feed_data", "optimize_parameters"):  # whatever the classes below define
            setattr(self, name, functools.partial(getattr(self, f"_{name}"), getattr(self, name)))
        STOPPING.watch(self)

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

    def update_learning_rate(self, current_iter: int, warmup_iter: int = -1) -> None:
        """BasicSR's; with it a step begins."""
        STOPPING.pause()
        super().update_learning_rate(current_iter, warmup_iter)

    def _feed_data(self, feed: Callable, data: dict[str, Any]) -> None:
        """Take a batch; keep what its sections are called and count those that were left out."""
        self.keys = data.get("key", data.get("lq_path"))
        for reason in filter(None, data.pop("left_out", ())):
            self.bad_items += 1
            get_root_logger().warning(f"{reason}; training goes on without it, {self.bad_items} left out so far.")
        feed(data)

    def _optimize_parameters(self, step: Callable, current_iter: int) -> None:
        """One step: counted, kept from what is not finite, and with the place for signals after it."""
        self.guard.begin()
        step(current_iter)
        self.iteration = current_iter
        self.samples += items_per_step(self.opt)
        losses = getattr(self, "losses", getattr(self, "log_dict", {}))
        self.guard.end(current_iter, losses, self.keys, f"iteration {self.saved}" if self.saved else "none")
        STOPPING.end_step()

    def validation(self, dataloader: Any, current_iter: int, tb_logger: Any, save_img: bool = False) -> None:
        """BasicSR's; it changes nothing in the training. With ``logger.keep_best`` the best network is saved."""
        self.scores: dict[str, float] = {}
        with kept_random_states():
            super().validation(dataloader, current_iter, tb_logger, save_img)
            self.report(dataloader, current_iter, tb_logger)
        wanted = self.is_train and self.opt["logger"].get("keep_best")
        if not wanted or dataloader.dataset.opt["name"] != self.opt["datasets"]["val"]["name"]:
            return
        value = self.scores.get(wanted["metric"])
        sign = 1 if wanted["better"] == "higher" else -1
        if value is not None and (self.best is None or sign * value > sign * self.best):
            self.best = value
            self.save(0, BEST)

    def get_current_visuals(self) -> dict[str, Any]:
        """BasicSR's, of each section of a validation."""
        STOPPING.pause()
        return super().get_current_visuals()

    def report(self, dataloader: Any, current_iter: int, tb_logger: Any) -> None:
        """What a model adds to BasicSR's report of a validation."""

    def _update_best_metric_result(self, dataset_name: str, metric: str, val: float, current_iter: int) -> None:
        self.scores[metric] = float(val)
        super()._update_best_metric_result(dataset_name, metric, val, current_iter)

    @master_only
    def save_network(
        self,
        net: nn.Module | list[nn.Module],
        net_label: str,
        current_iter: int | str,
        param_key: str | list[str] = "params",
    ) -> None:
        """Save state dicts and options of a network as ``<net_label>_<current_iter>.pth``; -1 is ``latest``.

        Raises:
            RunError: it cannot be written, or a weight is not finite.
        """
        nets = net if isinstance(net, list) else [net]
        keys = param_key if isinstance(param_key, list) else [param_key]
        checkpoint: dict[str, Any] = {}
        for network, key in zip(nets, keys, strict=True):
            checkpoint[key] = self.get_bare_model(network).state_dict()
            for name, value in checkpoint[key].items():
                checkpoint[key][name] = value.cpu()
            try:
                check_weights(checkpoint[key])
            except InputError as error:
                raise RunError(f"{net_label} of iteration {self.iteration} is not saved: {error}") from None
        network = net_label.replace("net_", "network_")
        options = without_files(to_plain(self.opt.get(network) or {}))
        checkpoint["metadata"] = {"key_names": "gpemsr", network: options}  # weights of a path are in the state dict
        iteration = "latest" if current_iter == -1 else current_iter
        # a state belongs to the networks that were written before it
        Path(self.opt["path"]["training_states"], f"{iteration}.state").unlink(missing_ok=True)
        _save(Path(self.opt["path"]["models"], f"{net_label}_{iteration}.pth"), checkpoint)

    def save_training_state(self, epoch: int, current_iter: int) -> None:
        """Save what resuming needs as ``<current_iter>.state``; nothing at the end (-1) and with the best network.

        Raises:
            RunError: it cannot be written.
        """
        if current_iter in (-1, BEST):
            return
        own = {"random": random_states(), "model": self.process_state()}
        processes = [own] * self.opt["world_size"]
        if self.opt["dist"]:
            distributed.all_gather_object(processes, own)
        self.saved = current_iter
        if self.opt["rank"] != 0:
            return
        state = {
            "epoch": epoch,
            "iter": current_iter,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "schedulers": [scheduler.state_dict() for scheduler in self.schedulers],
            "samples": self.samples,
            "seed": self.opt["manual_seed"],
            "counts": {"skipped": self.guard.skipped, "in_a_row": self.guard.in_a_row, "bad_items": self.bad_items},
            "best": self.best,
            "best_metric_results": getattr(self, "best_metric_results", {}),
            "processes": processes,
        }
        states, models = (Path(self.opt["path"][key]) for key in ("training_states", "models"))
        _save(states / f"{current_iter}.state", state)
        keep = self.opt["logger"].get("keep_last")
        for iteration in saved_iterations(states)[keep:] if keep else ():
            remove_checkpoint(states, models, iteration)

    def process_state(self) -> Mapping[str, Any]:
        """What else this process needs to go on, as plain data and tensors."""
        return {}

    def load_process_state(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`process_state`."""

    def resume_training(self, resume_state: dict[str, Any]) -> None:
        """Go on from a state of :meth:`save_training_state`, or from one of BasicSR's.

        Schedules follow the option file from here on; of the state they take the position. A process that the saved
        training did not have begins with its own random state.
        """
        schedulers = [
            {**scheduler.state_dict(), **{key: saved[key] for key in SCHEDULE if key in saved}}
            for scheduler, saved in zip(self.schedulers, resume_state["schedulers"], strict=True)
        ]
        for optimizer, saved in zip(self.optimizers, resume_state["optimizers"], strict=True):
            groups = [len(group["params"]) for group in optimizer.param_groups]
            if groups != (was := [len(group["params"]) for group in saved["param_groups"]]):
                raise InputError(
                    f"the training state has groups of {was} parameters, this training of {groups}; "
                    "expected the same network and train.offset_lr_mul"
                )
        super().resume_training({**resume_state, "schedulers": schedulers})
        self.iteration = self.saved = resume_state["iter"]
        self.samples = resume_state.get("samples", self.iteration * items_per_step(self.opt))
        counts = resume_state.get("counts", {})
        self.guard.skipped, self.guard.in_a_row = counts.get("skipped", 0), counts.get("in_a_row", 0)
        self.bad_items = counts.get("bad_items", 0)
        self.best = resume_state.get("best")
        self.best_metric_results = resume_state.get("best_metric_results", {})
        processes = resume_state.get("processes", [])
        if processes:
            self.load_process_state(processes[min(self.opt["rank"], len(processes) - 1)]["model"])
        if self.opt["rank"] < len(processes):
            restore_random_states(processes[self.opt["rank"]]["random"])


def _save(path: Path, content: dict) -> None:
    """Save ``content``, as BasicSR does in several tries. Raises RunError if it cannot be written."""
    for remaining in reversed(range(TRIES)):
        try:
            return save_checkpoint(path, content)
        except InputError as error:
            if not remaining:
                raise RunError(f"{error}; the checkpoints before it are whole, go on with --auto_resume") from None
            get_root_logger().warning(f"{error}; {remaining} tries left")
            time.sleep(1)
    return None
