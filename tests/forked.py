"""Trainings and tests as processes of their own, forked from this one so that nothing is imported again."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

import gpemsr.cli.test
import gpemsr.cli.train
from gpemsr.compat import importable_basicsr

with importable_basicsr():
    from basicsr.utils.logger import initialized_logger


NUMBERS = itertools.count()


class Forked:
    """``gpemsr-train -opt <file>`` in a folder, forked from this process; what it prints goes to ``output``.

    Args:
        folder: working directory.
        arguments: of the command.
        prepare: called in the new process, before.
        main: the command's, if it is another.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        prepare: Callable[[], object] = lambda: None,
        main: Callable[[list[str]], int] = gpemsr.cli.train.main,
    ) -> None:
        self.main = main
        self.output_file = folder / f"output{next(NUMBERS)}.txt"
        self.output_file.write_text("")
        self.pid = os.fork()
        if not self.pid:
            code = 70
            with contextlib.suppress(BaseException):
                code = self._run(folder, arguments, prepare)
            os._exit(code)

    def _run(self, folder: Path, arguments: tuple[str, ...], prepare: Callable[[], object]) -> int:
        os.chdir(folder)
        os.setpgid(0, 0)
        output = os.open(self.output_file, os.O_WRONLY | os.O_APPEND)
        for descriptor in (1, 2):
            os.dup2(output, descriptor)
        sys.stdout, sys.stderr = (open(d, "w", buffering=1, closefd=False) for d in (1, 2))  # noqa: SIM115
        torch.set_num_threads(1)
        initialized_logger.clear()
        try:
            prepare()
            code = self.main(["-opt", *arguments])
        except BaseException:
            traceback.print_exc()
            code = 70
        sys.stdout.flush()
        sys.stderr.flush()
        return code

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self.output_file.read_text(errors="replace")

    def wait(self, timeout: float = 120) -> int:
        """Exit code, negative for a signal; TimeoutError after so many seconds, and the process is ended."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
        self.kill()
        raise TimeoutError(self.output[-2000:])

    def wait_for(self, text: str, timeout: float = 60) -> None:
        """Wait until it has printed ``text``."""
        end = time.monotonic() + timeout
        while text not in self.output:
            if time.monotonic() > end or os.waitpid(self.pid, os.WNOHANG)[0]:
                raise AssertionError(self.output[-2000:])
            time.sleep(0.005)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the process alone."""
        os.kill(self.pid, number)


def run(folder: Path, *arguments: str, prepare: Callable[[], object] = lambda: None) -> tuple[int, str]:
    """Train to the end; exit code and output."""
    process = Forked(folder, *arguments, prepare=prepare)
    return process.wait(), process.output


def start_processes(folder: Path, count: int, *arguments: str, **how: Any) -> list[Forked]:
    """Begin a training, or what ``how`` says, in so many processes, as torchrun does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(count)}

    def prepare(rank: int) -> None:
        os.environ.update(place, RANK=str(rank))
        torch.multiprocessing.set_start_method("fork", force=True)  # BasicSR's "spawn" imports all in each worker

    return [
        Forked(folder, *arguments, "--launcher", "pytorch", prepare=partial(prepare, rank), **how)
        for rank in range(count)
    ]


def run_processes(folder: Path, count: int, *arguments: str, **how: Any) -> str:
    """Train, or what ``how`` says, to the end in so many processes; output of the first. None may fail."""
    together = start_processes(folder, count, *arguments, **how)
    codes = [process.wait() for process in together]
    assert codes == [0] * count, "\n".join(process.output[-2000:] for process in together)
    return together[0].output
