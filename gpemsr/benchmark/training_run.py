"""One run of ``gpemsr-train`` as a process of its own: its progress as a bar, and what it used of the CPU."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from tqdm import tqdm

from gpemsr.errors import InputError

ITERATION = re.compile(r"iter: *([\d,]+)")
_running: set[subprocess.Popen[str]] = set()


@dataclass(frozen=True)
class Usage:
    """What a run took.

    Attributes:
        seconds: wall-clock time.
        core_seconds: of CPU time, over all cores.
    """

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
    options = yaml.safe_load((folder / "options" / f"{name}.yml").read_text())
    start = time.monotonic()
    command_line = [sys.executable, "-m", "gpemsr.cli.train", "-opt", f"options/{name}.yml"]
    command_line += ["--auto_resume"] * resume
    log = folder / f"{name}.log"
    with (
        log.open("w", buffering=1) as sink,
        subprocess.Popen(
            command_line,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **(environment or {})},
        ) as process,
        tqdm(
            total=options["train"].get("total_iter"), desc=name, unit="it", disable=None, position=bar_position
        ) as bar,
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
