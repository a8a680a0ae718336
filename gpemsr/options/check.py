"""Checks an option file against what each network, model and data set accepts, before anything is built.

What a registered class accepts is read off the class:

- networks, losses, metrics: the constructor's (function's) signature and type hints;
- data sets: ``Options`` (:class:`gpemsr.options.schema.LoaderOptions`); models: ``Options`` for ``train``
  (:class:`gpemsr.options.schema.TrainOptions`) and, if they have it, ``ValOptions`` for ``val``;
- models: ``works_with``, if they have it, e.g. ``{"network_g": ("VQGAN",), "datasets.train": ("HRSectionDataset",)}``:
  the networks that they need and the names (or classes below these) that they can work with;
- models: ``path_keys``, if they have it: keys of ``path`` that only they read;
- any of them: ``check_options``, a class or static method that raises ValueError("<key>=<value>: what is expected")
  where options do not go together. It gets a network's options as keywords, a data set's section as BasicSR
  completes it (with ``phase`` and ``scale``), a model the whole file.

BasicSR's own classes have none of that but signatures: for them keys, names and paths are checked.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gpemsr.compat import importable_basicsr
from gpemsr.options.limits import check_file_name, check_logger, check_numbers, check_size
from gpemsr.options.place import (
    Place,
    check_call,
    check_dataset,
    check_own,
    check_path,
    check_registered,
    check_schema,
    check_section,
    check_type,
    field_schema,
)
from gpemsr.options.schema import AdamOptions, GeneralOptions, NonNegativeInt, PositiveFloat, PositiveInt, ValOptions

with importable_basicsr():
    from basicsr.models import lr_scheduler
    from basicsr.models.base_model import BaseModel
    from basicsr.utils.registry import (
        ARCH_REGISTRY,
        DATASET_REGISTRY,
        LOSS_REGISTRY,
        METRIC_REGISTRY,
        MODEL_REGISTRY,
    )

SCHEDULERS = {
    "MultiStepLR": lr_scheduler.MultiStepRestartLR,
    "MultiStepRestartLR": lr_scheduler.MultiStepRestartLR,
    "CosineAnnealingRestartLR": lr_scheduler.CosineAnnealingRestartLR,
}
SET_BY_BASICSR = {"dist", "rank", "world_size", "auto_resume", "is_train", "root_path"}


def check_options(options: Mapping[str, Any], file: str, is_train: bool) -> None:
    """Refuse an option file with anything that nothing reads or that cannot be used.

    Raises:
        InputError: one line with file, key (dotted), value and what is expected.
    """
    top = Place(str(file))
    check_numbers(options, top)
    general = {k: v for k, v in options.items() if not str(k).startswith("network_") and k not in SET_BY_BASICSR}
    check_schema(GeneralOptions, general, top)
    check_file_name(options["name"], top / "name")
    if is_train:
        for key in ("train", "logger"):
            if options.get(key) is None:
                (top / key).fail_missing("training needs this section")
    _check_devices(options, top)
    model = check_registered(MODEL_REGISTRY, options["model_type"], top / "model_type")
    _check_networks(options, model, top)
    _check_datasets(options, model, top, is_train)
    _check_path(options, model, top)
    if is_train:
        _check_train(options["train"], model, top / "train")
        check_logger(options, model, top)
    _check_val(options, model, top / "val", is_train)
    if hasattr(model, "check_options"):
        check_own(lambda: model.check_options(options), top)


def _check_devices(options: Mapping[str, Any], top: Place) -> None:
    available = torch.cuda.device_count()
    wanted = options["num_gpu"]
    if wanted != "auto" and wanted > available:
        (top / "num_gpu").fail(wanted, f"this machine has {available} CUDA devices; 0 (CPU) or auto is expected")


def _check_networks(options: Mapping[str, Any], model: type, top: Place) -> None:
    needed = getattr(model, "works_with", {"network_g": ()})
    for key in (key for key in needed if key.startswith("network_")):
        if options.get(key) is None:
            (top / key).fail_missing(f"{model.__name__} needs this network")
    for key, value in options.items():
        if not str(key).startswith("network_") or value is None:
            continue
        place = top / key
        if key not in needed and hasattr(model, "works_with"):
            place.fail_unknown(name for name in needed if name.startswith("network_"))
        network = _check_type_key(ARCH_REGISTRY, check_section(value, place), place, needed.get(key, ()))
        check_call(network, value, place)
        check_size(network, value, place)
        for name in {"scale", "upscale"} & value.keys():
            if options.get("scale") is not None and value[name] != options["scale"]:
                (place / name).fail(value[name], f"the file's scale={options['scale']} is expected")


def _check_type_key(registry: Any, section: Mapping[str, Any], place: Place, wanted: tuple[str, ...]) -> Any:
    """Return the class that a section's ``type`` names, after comparing it with what the model can work with."""
    if "type" not in section:
        (place / "type").fail_missing("the registered name of a class")
    found = check_registered(registry, section["type"], place / "type")
    names = dict(iter(registry))
    accepted = [names[name] for name in wanted]
    classes = tuple(filter(inspect.isclass, accepted))
    if wanted and found not in accepted and not (inspect.isclass(found) and issubclass(found, classes)):
        (place / "type").fail(section["type"], f"with this model_type, {' or '.join(wanted)} is expected")
    return found


def _check_datasets(options: Mapping[str, Any], model: type, top: Place, is_train: bool) -> None:
    place = top / "datasets"
    sections = check_section(options["datasets"], place)
    phases = ("train", "val") if is_train else ("val", "test")
    if not sections or (is_train and "train" not in sections):
        (place / phases[0]).fail_missing(f"{'training' if is_train else 'testing'} needs a data set")
    for key, value in sections.items():
        phase = str(key).split("_")[0]
        if phase not in phases or (phase == "train" and key != "train"):
            (place / key).fail_unknown(["train", "val", "val_2"] if is_train else ["test", "test_2", "val"])
        section = {**check_section(value, place / key), "phase": phase}
        if options.get("scale") is not None:
            section["scale"] = options["scale"]
        _check_dataset(section, model, place / key)
        if section.get("prefetch_mode") == "cuda" and (options["num_gpu"] == 0 or not torch.cuda.is_available()):
            (place / key / "prefetch_mode").fail("cuda", "there is no CUDA device; cpu or null is expected")


def _check_dataset(section: Mapping[str, Any], model: type, place: Place) -> None:
    wanted = getattr(model, "works_with", {}).get(f"datasets.{section['phase']}", ())
    dataset = _check_type_key(DATASET_REGISTRY, section, place, wanted)
    needed: dict[str, Any] = {"name": str}
    if section["phase"] == "train":
        needed |= {"num_worker_per_gpu": NonNegativeInt, "batch_size_per_gpu": PositiveInt}
    check_dataset(dataset, section, place)
    for name, hint in needed.items():
        if name not in section:
            (place / name).fail_missing("BasicSR needs it")
        check_type(hint, section[name], place / name)
    check_file_name(section["name"], place / "name")


def _check_path(options: Mapping[str, Any], model: type, top: Place) -> None:
    place = top / "path"
    networks = [key for key in options if str(key).startswith("network_")]
    hints: dict[str, Any] = {"resume_state": str | None, "ignore_resume_networks": list[str] | None}
    for network in networks:
        letter = network.removeprefix("network_")
        hints |= {f"pretrain_{network}": str | None, f"strict_load_{letter}": bool | None}
        hints |= {f"param_key_{letter}": str | None}
    hints |= {key: str | None for key in getattr(model, "path_keys", ())}
    for key, value in check_section(options["path"], place).items():
        if key not in hints:
            (place / key).fail_unknown(hints)
        check_type(hints[key], value, place / key)
        if key.startswith("pretrain_") or key == "resume_state":
            check_path(value, place / key)
            if value is not None and not Path(value).expanduser().is_file():
                (place / key).fail(value, "a file, not a folder, is expected")


def _check_train(train: Mapping[str, Any], model: Any, place: Place) -> None:
    if hasattr(model, "Options"):
        check_schema(model.Options, train, place)
    for key in ("total_iter", "optim_g", "scheduler"):
        if key not in train:
            (place / key).fail_missing("training needs it")
    check_type(PositiveFloat, train["total_iter"], place / "total_iter")
    for key, value in train.items():
        if key.startswith("optim_") and value is not None and model.get_optimizer is BaseModel.get_optimizer:
            check_schema(AdamOptions, check_section(value, place / key), place / key)
        if key.endswith("_opt") and value is not None and field_schema(getattr(model, "Options", None), key) is None:
            loss = _check_type_key(LOSS_REGISTRY, check_section(value, place / key), place / key, ())
            check_call(loss, value, place / key)
    _check_scheduler(train, place / "scheduler")


def _check_scheduler(train: Mapping[str, Any], place: Place) -> None:
    section = check_section(train["scheduler"], place)
    scheduler = SCHEDULERS.get(str(section.get("type")))
    if scheduler is None:
        (place / "type").fail(section.get("type"), f"{' or '.join(SCHEDULERS)} is expected")
    check_call(scheduler, section, place, given=("type", "optimizer", "last_epoch"))
    numbers = {"eta_min": float, "gamma": float}
    for key, value in section.items():
        if key != "type":
            check_type(numbers.get(key, list[float]), value, place / key)
    key = "periods" if "periods" in section else "restarts"
    if len(section.get(key, [0])) != len(section.get("restart_weights", [1])):
        (place / "restart_weights").fail(section.get("restart_weights", [1]), f"a weight for each of {key} is expected")
    if key == "periods" and sum(section["periods"]) < train["total_iter"]:
        (place / key).fail(section["periods"], f"a sum of at least total_iter={train['total_iter']} is expected")


def _check_val(options: Mapping[str, Any], model: type, place: Place, is_train: bool) -> None:
    val = options.get("val")
    if val is None:
        if not is_train:
            place.fail_missing("testing needs this section")
        return
    check_schema(getattr(model, "ValOptions", ValOptions), val, place)
    if is_train and val.get("val_freq") is None:
        (place / "val_freq").fail_missing("training needs it where there is val")
    if val["save_img"] and not is_train and "suffix" not in val:
        (place / "suffix").fail_missing("BasicSR needs it with save_img; it may be null")
    for name, section in (val.get("metrics") or {}).items():
        here = place / "metrics" / name
        metric = check_registered(METRIC_REGISTRY, section.get("type"), here / "type")
        check_call(metric, section, here, given=("type", "img", "img2", "better"), open_ended=False)
        check_type(NonNegativeInt, section.get("crop_border", 0), here / "crop_border")
