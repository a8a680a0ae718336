"""Signals that end a training between two steps, on all of its processes at the same step."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
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
    """Keeps a signal for the end of the step, or raises :class:`Stopped` where there is none.

    Several processes must agree on the step, so there signals wait for the next one, also in a validation.

    Attributes:
        model: what is trained; None before it is built.
    """

    def __init__(self) -> None:
        self.model: Any = None
        self._is_active = False
        self._in_step = False
        self._pending = 0
        self._group: Any = None

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        """Handle the signals inside the block."""
        self.__init__()  # type: ignore[misc]
        self._is_active = True
        before = {number: signal.signal(number, self._handle) for number in ASKED_TO_STOP}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self.__init__()  # type: ignore[misc]

    def _handle(self, number: int, frame: object) -> None:
        self._pending = number
        if not self._in_step and self._group is None:
            self._raise()

    def _raise(self) -> None:
        number, self._in_step = self._pending, True  # a second signal does not disturb the saving
        raise Stopped(number)

    def watch(self, model: Any) -> None:
        """Begin with the training of ``model``."""
        if not self._is_active:
            return
        self.model = model
        if model.opt["dist"]:
            self._group = distributed.new_group(backend="gloo")

    def begin_step(self) -> None:
        """From here on the training cannot be saved."""
        self._in_step = True

    def end_step(self) -> None:
        """From here on it can. Raises :class:`Stopped` if a signal came to any process."""
        self._in_step = False
        if self._group is not None:
            pending = torch.tensor(self._pending)
            distributed.all_reduce(pending, distributed.ReduceOp.MAX, self._group)
            self._pending = int(pending)
        if self._pending:
            self._raise()


STOPPING = Stopping()
