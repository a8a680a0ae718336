"""Ctrl-C where a command has processes of its own: all of them receive it, but only the command should react."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def ignore_interrupts() -> Iterator[None]:
    """Processes started in this block ignore Ctrl-C; their starter, in its main thread, has to end them."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
