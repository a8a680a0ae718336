"""One training with BasicSR's loop: alone in its experiment, resumed from what is whole, ended in order."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from basicsr.utils import check_resume
from torch import distributed

from gpemsr import compat
from gpemsr.checkpoints.training_states import newest_whole, read_state, saved_iterations
from gpemsr.data.training_stream import Progress, SeededItems, TrainingStream, items_per_step, start_worker
from gpemsr.errors import InputError, RunError, one_line
from gpemsr.files import exclusive, is_full_disk, remove_all_leftovers
from gpemsr.models.stopping import STOPPING, Stopped

_held = contextlib.ExitStack()  # the experiment's lock, from when BasicSR has completed the options


def train(pipeline: Callable[[], None], go_on: str) -> int:
    """Run ``pipeline``, BasicSR's ``train_pipeline``, until its end or a signal.

    Args:
        go_on: the command line that resumes the training, for the message.

    Returns:
        The exit code.

    Raises:
        InputError: another process trains this experiment, or there is nothing whole to resume from.
        RunError: a full disk, a data loader's worker that died, weights or data that are damaged.
    """
    compat.train_on(find_state, stream, seeded_items, start_worker)
    compat.report_prefetch_errors()
    with (
        _held,
        compat.temporarily(logging, raiseExceptions=False),  # a full disk is reported once, not with each line
        STOPPING.handled(),
        _reported(),
    ):
        try:
            pipeline()
        except Stopped as stopped:
            return _end(stopped, go_on)
    return 0


def _end(stopped: Stopped, go_on: str) -> int:
    """Save where the training is; say how to go on; return the exit code."""
    model = STOPPING.model
    if model is None or not model.iteration:
        text = "before the first iteration; start again with"
    else:
        if model.saved != model.iteration:
            model.save(0, model.iteration)
        text = f"after iteration {model.iteration}, which is saved; go on with"
    if model is None or model.opt["rank"] == 0:
        print(f"{stopped.signal.name}: training ends {text}: {go_on}", file=sys.stderr)
    return stopped.code


@contextlib.contextmanager
def _reported() -> Any:
    """Errors that a training may meet, in one line."""
    try:
        with compat.temporarily(threading, excepthook=_but_full_disk(threading.excepthook)):
            yield
    except OSError as error:
        if not is_full_disk(error):
            raise
        where, rest = error.filename or "the experiment", "what was saved is whole, go on with --auto_resume"
        raise RunError(f"{where}: {error.strerror}; {rest}") from None
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise RunError(f"{one_line(error)} (out of memory?)") from None


def _but_full_disk(show: Callable[[threading.ExceptHookArgs], object]) -> Callable[[threading.ExceptHookArgs], None]:
    """Leave out what TensorBoard's thread raises again where the training hands it the next value."""

    def show_others(args: threading.ExceptHookArgs) -> None:
        if not is_full_disk(args.exc_value):
            show(args)

    return show_others


def find_state(opt: dict[str, Any]) -> dict[str, Any] | None:
    """Lock the experiment; the state to go on from, whose networks BasicSR is told to load, or None.

    Args:
        opt: options as BasicSR completes them. The seed of the state replaces theirs.
    """
    path = opt["path"]
    root, states, models = (Path(path[key]) for key in ("experiments_root", "training_states", "models"))
    if opt["rank"] == 0:
        _held.enter_context(exclusive(root, "trains under this name"))
        remove_all_leftovers(root)
    ignored = path.get("ignore_resume_networks") or ()
    labels = [key.replace("network_", "net_") for key in opt if key.startswith("network_") and key not in ignored]
    state, wrong = None, list[str]()
    if opt["auto_resume"] and saved_iterations(states):
        state, wrong = newest_whole(states, models, labels)
        if state is None:
            raise InputError(f"{states}: none of {len(wrong)} states is whole, first {wrong[0]}; expected one that is")
        path["resume_state"] = str(states / f"{state['iter']}.state")
    elif not opt["auto_resume"] and path.get("resume_state"):
        state = read_state(Path(path["resume_state"]), models, labels)
    if opt["rank"] == 0:
        for text in wrong:
            print(f"skipped: {text}", file=sys.stderr)
    if state is None:
        path["resume_state"] = None
        return None
    opt["manual_seed"] = state.get("seed", opt["manual_seed"])
    check_resume(opt, state["iter"])
    return state


def stream(opt: dict[str, Any], state: dict[str, Any] | None) -> partial[TrainingStream]:
    """The sampler of a training, see :class:`TrainingStream`; its options are BasicSR's of ``EnlargedSampler``."""
    if opt["dist"]:
        seeds = [opt["manual_seed"]]
        distributed.broadcast_object_list(seeds)
        opt["manual_seed"] = seeds[0]
    batch, done = items_per_step(opt), Progress()
    if state is not None:
        done = Progress(state["iter"], state.get("samples", state["iter"] * batch))
    total_iter = int(opt["train"]["total_iter"])
    return partial(TrainingStream, batch=batch, total_iter=total_iter, seed=opt["manual_seed"], done=done)


def seeded_items(dataset: Any, opt: dict[str, Any]) -> SeededItems:
    """The items of the training's data set."""
    return SeededItems(dataset, opt["manual_seed"], opt["datasets"]["train"].get("skip_bad", False))
