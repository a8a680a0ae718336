"""Checks a config of MMagic against what networks, losses and data sets accept, before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmagic.registry import DATASETS, MODELS

from gpemsr.checkpoints.inputs import check_checkpoints
from gpemsr.mmagic.editor import GPEMSREditor
from gpemsr.models.gpemsr_model import GPEMSRModel
from gpemsr.options.place import (
    Place,
    check_call,
    check_component,
    check_dataset,
    check_own,
    check_path,
    check_registered,
    check_section,
)

# key of BasicSR's option file -> key of the config
KEYS = {
    "path": "model",
    "network_g": "model.generator",
    "train.contextual_opt": "model.contextual_loss",
    "datasets.train": "train_dataloader.dataset",
    "datasets.val": "val_dataloader.dataset",
}


def check_config(config: Mapping[str, Any], file: str, is_train: bool) -> None:
    """Refuse a config whose network, losses, checkpoints or data do not match.

    Other models than :class:`~gpemsr.mmagic.editor.GPEMSREditor` and other data sets than ours are left alone.

    Raises:
        InputError: one line with file, key (dotted), value and what is expected.
    """
    top = Place(file)
    datasets = {}
    for phase in ("train", "val") if is_train else ("val",):
        loader = f"{phase}_dataloader"
        if config.get(loader) is None:
            (top / loader).fail_missing("the key is needed")
        place = top / loader / "dataset"
        datasets[phase] = check_section(check_section(config[loader], top / loader).get("dataset"), place)
        _check_dataset(datasets[phase], phase, place)
    model = check_section(config.get("model"), top / "model")
    kind = check_registered(MODELS.module_dict.items(), model.get("type"), top / "model" / "type")
    if issubclass(kind, GPEMSREditor):
        _check_editor(model, kind, datasets, top, is_train)


def _check_dataset(section: Mapping[str, Any], phase: str, place: Place) -> None:
    kind = check_registered(DATASETS.module_dict.items(), section.get("type"), place / "type")
    if hasattr(kind, "Options"):
        check_dataset(kind, {**section, "phase": phase}, place)


def _check_editor(
    model: Mapping[str, Any], kind: type[GPEMSREditor], datasets: Mapping[str, Any], top: Place, is_train: bool
) -> None:
    check_call(kind, model, top / "model")
    for key in ("generator", "pixel_loss", "contextual_loss"):
        section = model.get(key)
        if section is not None:
            check_component(MODELS.module_dict.items(), section, top / "model" / key)
    for key in ("pretrain_prior", "pretrain_network_g"):
        check_path(model.get(key), top / "model" / key)
    options = {"path": model, "network_g": model["generator"], "datasets": datasets}
    if is_train:
        options["train"] = {"contextual_opt": model.get("contextual_loss")}
    check_own(lambda: _under_our_keys(options), top)
    check_checkpoints(GPEMSRModel, options, top / "model")


def _under_our_keys(options: Mapping[str, Any]) -> None:
    """Check what BasicSR's model does, and name the config's key in the message."""
    try:
        GPEMSRModel.check_options(options)
    except ValueError as error:
        text = str(error)
        for theirs, ours in KEYS.items():
            text = text.replace(f"{theirs}.", f"{ours}.")
        raise ValueError(text) from None
