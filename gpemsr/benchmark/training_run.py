"""One training: a run of ``gpemsr-train`` in a separate process, and the CPU time that an iteration takes."""

from __future__ import annotations

import contextlib
import copy
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from tqdm import tqdm

from gpemsr.errors import InputError

ITERATION = re.compile(r"iter: *([\d,]+)")
WARM_UP = 2  # iterations that are not counted, as they allocate memory
_running: set[subprocess.Popen[str]] = set()


class Usage(NamedTuple):
    """What a run took: wall-clock time, and CPU time over all cores."""

    seconds: float
    core_seconds: float


def train(
    name: str,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    bar_position: int | None = None,
    resume: bool = False,
) -> Usage:
    """Run ``gpemsr-train`` on ``<folder>/options/<name>.yml`` in ``folder``; ``<folder>/<name>.log`` gets its output.

    Args:
        name: of the option file.
        folder: working directory, below which experiments go.
        environment: variables that the process gets in addition to this one's.
        bar_position: line of the progress bar, where several trainings run.
        resume: continue from the last saved state, if there is one; the usage is then that of the rest.

    Raises:
        InputError: the training failed; with the last line of its output.
    """
    total = yaml.safe_load((folder / "options" / f"{name}.yml").read_text())["train"].get("total_iter")
    start, log = time.monotonic(), folder / f"{name}.log"
    command = [sys.executable, "-m", "gpemsr.cli.train", "-opt", f"options/{name}.yml", *["--auto_resume"] * resume]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with (
        log.open("w", buffering=1) as sink,
        subprocess.Popen(command, cwd=folder, env={**os.environ, **(environment or {})}, **pipes) as process,
        tqdm(total=total, desc=name, unit="it", disable=None, position=bar_position) as bar,
    ):
        _running.add(process)
        for line in process.stdout or ():
            sink.write(line)
            if match := ITERATION.search(line):
                bar.update(int(match[1].replace(",", "")) - bar.n)
        _, status, usage = os.wait4(process.pid, 0)
        _running.discard(process)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        last = [line for line in log.read_text().splitlines() if line.strip()][-1:]
        raise InputError(f"{name} failed, see {log}: {' '.join(last)}")
    return Usage(time.monotonic() - start, usage.ru_utime + usage.ru_stime)


def end_trainings() -> None:
    """End the runs of all threads; each can be resumed from its last state."""
    for process in tuple(_running):
        process.terminate()


@contextlib.contextmanager
def ignore_interrupts() -> Iterator[None]:
    """Processes started in this block ignore Ctrl-C; their starter, in its main thread, has to end them."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def iteration_seconds(options: Mapping[str, Any], folder: Path, steps: int) -> float:
    """CPU seconds of one iteration on one thread, the mean over iterations spread over the whole training.

    They are spread because a stage may do more from some iteration on. Nothing is loaded, saved or logged: a
    checkpoint that the training would start from is left out.

    Args:
        options: content of a checked option file for training.
        folder: what its paths are relative to; it becomes the working directory.
        steps: iterations to measure.
    """
    from gpemsr import compat, register

    os.chdir(folder)
    register()
    compat.apply()
    import torch

    torch.set_num_threads(1)
    from basicsr.data import build_dataset
    from basicsr.models import build_model

    complete: dict[str, Any] = copy.deepcopy(dict(options))
    complete |= {"is_train": True, "dist": False, "rank": 0, "world_size": 1}
    if complete["num_gpu"] == "auto":
        complete["num_gpu"] = torch.cuda.device_count()
    complete["path"] = {key: None if key.startswith("pretrain_") else value for key, value in complete["path"].items()}
    section = complete["datasets"]["train"]
    scale = {"scale": complete["scale"]} if complete.get("scale") else {}
    dataset = build_dataset({**section, **scale, "phase": "train"})
    loader = torch.utils.data.DataLoader(dataset, section["batch_size_per_gpu"], shuffle=True, drop_last=True)
    model = build_model(complete)
    batches = (batch for epoch in cycle([loader]) for batch in epoch)
    taken = []
    for iteration in [1] * WARM_UP + list(np.linspace(1, complete["train"]["total_iter"], steps).astype(int)):
        start = time.process_time()
        model.feed_data(next(batches))
        model.optimize_parameters(int(iteration))
        taken.append(time.process_time() - start)
    return statistics.mean(taken[WARM_UP:])
