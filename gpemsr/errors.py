"""Errors that a user can fix, and how a command reports them."""

from __future__ import annotations

import functools
import signal
import sys
from collections.abc import Callable


class InputError(ValueError):
    """Bad input: an unusable file, option or value. Its text is one clear line for the user.

    The text says what is wrong, where, and what is expected.
    """


def command(main: Callable[..., int | None]) -> Callable[..., int]:
    """Wrap a command's ``main``: an :class:`InputError` becomes one line on stderr and exit code 2, Ctrl-C 130."""

    @functools.wraps(main)
    def run(*args, **kwargs) -> int:
        try:
            return main(*args, **kwargs) or 0
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 128 + signal.SIGINT

    return run
