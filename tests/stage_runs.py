"""Runs of one stage's model, as BasicSR's loop drives it, on a few small sections."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_stages import stage_options, tiny_network
from torch.utils.data import default_collate
from torch.utils.tensorboard import SummaryWriter

from gpemsr import compat

with compat.importable_basicsr():
    from basicsr.data import build_dataloader, build_dataset
    from basicsr.models import build_model
    from basicsr.utils import check_resume

FOLDERS = ("models", "training_states", "visualization")


class Run:
    """A model on sections of its own: options, data, models.

    Attributes:
        options: as an option file holds them; a test changes them before it asks for a model.
    """

    def __init__(self, options: dict, folder: Path) -> None:
        self.folder = folder
        self.options = options
        for name in FOLDERS:
            (folder / name).mkdir()

    def complete(self, is_train: bool = True) -> dict:
        """The options as BasicSR hands them to a model."""
        options = copy.deepcopy(self.options)
        options["path"] |= {name: str(self.folder / name) for name in FOLDERS}
        return options | {"is_train": is_train, "dist": False, "rank": 0, "world_size": 1}

    def model(self, is_train: bool = True) -> Any:
        """A new model."""
        torch.manual_seed(0)
        return build_model(self.complete(is_train))

    def resumed(self, iteration: int) -> Any:
        """A new model that goes on from what one has saved at an iteration."""
        options = self.complete()
        options["path"]["resume_state"] = str(self.folder / "training_states" / f"{iteration}.state")
        check_resume(options, iteration)
        model = build_model(options)
        model.resume_training(torch.load(options["path"]["resume_state"], weights_only=True))
        return model

    def dataset(self, phase: str) -> torch.utils.data.Dataset:
        """The training or validation set."""
        section = {**self.options["datasets"][phase], "phase": phase}
        if "scale" in self.options:
            section["scale"] = self.options["scale"]
        return build_dataset(section)

    def batches(self) -> list[dict]:
        """Two batches of two sections."""
        dataset = self.dataset("train")
        return [default_collate([dataset[i], dataset[i + 1]]) for i in (0, 2)]

    def validate(self, model: Any, save_img: bool = False) -> EventAccumulator:
        """Validate at iteration 7; what was written for TensorBoard."""
        dataset = self.dataset("val")
        loader = build_dataloader(dataset, {**dataset.opt}, num_gpu=0)
        with SummaryWriter(self.folder / "tb") as writer:
            model.validation(loader, 7, writer, save_img)
        events = EventAccumulator(str(self.folder / "tb"))
        events.Reload()
        return events


class Stage(Run):
    """One stage on sections of its own."""

    def __init__(self, stage: int, folder: Path, scale: int, train: dict[str, Any]) -> None:
        super().__init__(stage_options(stage, folder, scale, **train), folder)
        if stage > 1:
            self.options["path"]["pretrain_prior"] = str(folder / "prior.pth")
            torch.manual_seed(1)
            prior = tiny_network(stage - 1, scale)
            for parameter in prior.parameters():
                torch.nn.init.normal_(parameter, std=0.2)
            torch.save({"params": prior.state_dict()}, folder / "prior.pth")


def train(model: Any, batches: list[dict], iterations: range) -> None:
    """Train on the batches in turn, as BasicSR's loop does; every loss must be finite."""
    for iteration in iterations:
        model.update_learning_rate(iteration)
        model.feed_data(batches[iteration % len(batches)])
        model.optimize_parameters(iteration)
        assert all(torch.isfinite(torch.tensor(value)) for value in model.get_current_log().values())


def weights(net: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of the state dict."""
    return copy.deepcopy(net.state_dict())


def moved(before: dict[str, torch.Tensor], net: torch.nn.Module) -> set[str]:
    """Names of the entries that changed."""
    return {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}


def check_resumed(stage: Stage, saved: int, last: int, *names: str, **tolerance: float) -> None:
    """Train to ``last``, resume from ``saved`` without the stage before, and compare networks: equal by default."""
    batches, model = stage.batches(), stage.model()
    train(model, batches, range(1, saved + 1))
    model.save(0, saved)
    train(model, batches, range(saved + 1, last + 1))
    (stage.folder / "prior.pth").write_bytes(b"not needed any more")
    resumed = stage.resumed(saved)
    train(resumed, batches, range(saved + 1, last + 1))
    for name in names:
        found, expected = (getattr(run, name).state_dict() for run in (resumed, model))
        torch.testing.assert_close(found, expected, **(tolerance or {"rtol": 0, "atol": 0}))
