"""Opens what an option file names, data sets, losses and checkpoints, before an experiment begins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpemsr.checkpoints.loading import check_state, load_network_state
from gpemsr.checkpoints.training_states import read_state
from gpemsr.compat import importable_basicsr
from gpemsr.data.stored_codes import check_weights
from gpemsr.errors import InputError, one_line
from gpemsr.options.place import Place

with importable_basicsr():
    from basicsr.utils.registry import DATASET_REGISTRY, LOSS_REGISTRY, MODEL_REGISTRY


def check_inputs(options: Mapping[str, Any], file: str, processes: int = 1) -> None:
    """Refuse data, losses and checkpoints that cannot be used with options that ``check_options`` accepts.

    BasicSR opens them only after it has made the experiment's folder and moved an old one of the same name aside.

    Args:
        options: the file's content, with ``--force_yml`` applied, as ``check_options`` takes it.
        processes: that train together.

    Raises:
        InputError: one line.
    """
    top = Place(str(file))
    for key, section in options["datasets"].items():
        dataset = DATASET_REGISTRY.get(section["type"])
        if hasattr(dataset, "Options"):
            scale = {"scale": options["scale"]} if options.get("scale") is not None else {}
            found = dataset({**section, **scale, "phase": str(key).split("_")[0]})
            if key == "train":
                _check_batch(section, len(found), processes, top / "datasets" / "train")
    for key, section in (options.get("train") or {}).items():
        if key.endswith("_opt") and section and "features" not in section:
            _check_loss(section, top / "train" / key)
    check_checkpoints(MODEL_REGISTRY.get(options["model_type"]), options, top / "path")
    codes, prior = options["datasets"].get("train", {}).get("codes"), options["path"].get("pretrain_prior")
    if codes and prior:
        check_weights(codes, load_network_state(prior), prior)
    state = options["path"].get("resume_state")
    if state:
        try:
            read_state(Path(state), Path(), ())
        except InputError as error:
            raise InputError(f"{file}: path.resume_state={state}: {error}") from None


def _check_batch(section: Mapping[str, Any], sections: int, processes: int, place: Place) -> None:
    """Refuse batches that an epoch cannot fill."""
    batch, items = section["batch_size_per_gpu"], sections * section.get("dataset_enlarge_ratio", 1)
    if batch * processes > items:
        expected = f"at most {items // processes} is expected, the sections or crops times dataset_enlarge_ratio"
        expected += f", by {processes} processes" if processes > 1 else ""
        (place / "batch_size_per_gpu").fail(batch, expected)


def check_checkpoints(model: type, options: Mapping[str, Any], place: Place) -> None:
    """Refuse checkpoints of ``options["path"]``, which is at ``place``, that are not of the model's networks."""
    for key, network, part in getattr(model, "checkpoints", lambda _: ())(options):
        try:
            check_state(options["path"][key], network, **part)
        except InputError as error:
            raise InputError(f"{place.file}: {(place / key).key}={options['path'][key]}: {error}") from None


def _check_loss(section: Mapping[str, Any], place: Place) -> None:
    """Build a loss that downloads no weights."""
    try:
        LOSS_REGISTRY.get(section["type"])(**{key: value for key, value in section.items() if key != "type"})
    except (ValueError, NotImplementedError) as error:
        raise InputError(f"{place.file}: {place.key}: {one_line(error)}") from None
