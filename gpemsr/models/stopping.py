"""Signals that end a training between two steps, on all of its processes at the same step."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

import torch
from torch import distributed

from gpemsr.data.training_stream import ASKED_TO_STOP


class Stopped(BaseException):
    """A signal has ended the training, between two steps; no error, which a library might catch."""

    def __init__(self, number: int) -> None:
        self.signal = signal.Signals(number)
        super().__init__(self.signal.name)

    @property
    def code(self) -> int:
        """Exit code: as of a process that the signal ends; 0 for SIGUSR1, by which schedulers ask for a checkpoint."""
        return 0 if self.signal == signal.SIGUSR1 else 128 + self.signal


class Stopping:
    """Keeps a signal for the next place where a training can end: between two steps or sections of a validation.

    There :class:`Stopped` is raised, and not by the handler itself, as that may run in any code, also of a library
    that has taken a lock or forks. Before there is a model nothing can be lost, so it is raised at once.
    Several processes must agree on the step, so there signals wait for the end of the next one.

    Attributes:
        model: what is trained; None before it is built.
    """

    def __init__(self) -> None:
        self.model: Any = None
        self._process = 0
        self._pending = 0
        self._group: Any = None

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        """Handle the signals inside the block."""
        self.__init__()  # type: ignore[misc]
        self._process = os.getpid()
        before = {number: signal.signal(number, self._handle) for number in ASKED_TO_STOP}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self.__init__()  # type: ignore[misc]

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            return  # a worker that has just been forked
        self._pending = number
        if self.model is None and not _destroys(frame):
            raise Stopped(number)

    def watch(self, model: Any) -> None:
        """Begin with the training of ``model``."""
        if not self._process:
            return
        self.model = model
        if model.opt["dist"]:
            self._group = distributed.new_group(backend="gloo")

    def pause(self) -> None:
        """A place where one process can end. Raises :class:`Stopped` if a signal came."""
        if self._pending and self._group is None:
            raise Stopped(self._pending)

    def end_step(self) -> None:
        """A place where several can end, too. Raises :class:`Stopped` if a signal came to any of them."""
        pending = torch.tensor(self._pending)
        if self._group is not None:  # a signal that comes meanwhile is for the next step
            distributed.all_reduce(pending, distributed.ReduceOp.MAX, self._group)
        if pending:
            raise Stopped(int(pending))


def _destroys(frame: FrameType | None) -> bool:
    """Whether an object's ``__del__`` runs in this frame: what is raised there is printed and ends there."""
    while frame is not None and frame.f_code.co_name != "__del__":
        frame = frame.f_back
    return frame is not None


STOPPING = Stopping()
