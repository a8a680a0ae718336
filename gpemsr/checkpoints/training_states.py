"""Training states in an experiment's folder: which there are, and the newest that is whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpemsr.checkpoints.files import check_weights, read_checkpoint, unwrap
from gpemsr.errors import InputError

KEYS = {"epoch", "iter", "optimizers", "schedulers"}  # BasicSR's


def saved_iterations(states: Path) -> list[int]:
    """Iterations of the states in a folder, the newest first."""
    names = (re.fullmatch(r"(\d+)\.state", path.name) for path in states.glob("*.state"))
    return sorted((int(name[1]) for name in names if name), reverse=True)


def remove_checkpoint(states: Path, models: Path, iteration: int) -> None:
    """Remove the state of an iteration, then its networks."""
    (states / f"{iteration}.state").unlink(missing_ok=True)
    for network in models.glob(f"net_*_{iteration}.pth"):
        network.unlink()


def read_state(path: Path, models: Path, labels: Sequence[str]) -> dict[str, Any]:
    """A training state, after its networks, ``<models>/<label>_<iteration>.pth``, were found whole too.

    Raises:
        InputError: one of the files is absent, damaged or not what it should be.
    """
    state = read_checkpoint(path)
    if not isinstance(state, dict) or not state.keys() >= KEYS or not isinstance(state["iter"], int):
        raise InputError(f"{path}: not a training state; expected {', '.join(sorted(KEYS))}")
    for label in labels:
        network = models / f"{label}_{state['iter']}.pth"
        loaded = read_checkpoint(network)
        try:
            for key in {"params", "params_ema"} & loaded.keys():
                check_weights(unwrap(loaded, key))
        except (AttributeError, InputError) as error:
            raise InputError(f"{network}: {error}") from None
    return state


def newest_whole(states: Path, models: Path, labels: Sequence[str]) -> tuple[dict[str, Any] | None, list[str]]:
    """The newest state that :func:`read_state` accepts, if any, and what was wrong with those after it.

    Networks without a state are those of a training that was killed in between, or of one whose state was deleted.
    """
    wrong: list[str] = []
    names = (re.fullmatch(r"net_.*_(\d+)\.pth", path.name) for path in models.glob("net_*.pth"))
    saved = {int(name[1]) for name in names if name}.union(saved_iterations(states))
    for iteration in sorted(saved, reverse=True):
        try:
            return read_state(states / f"{iteration}.state", models, labels), wrong
        except InputError as error:
            wrong.append(str(error))
    return None, wrong
