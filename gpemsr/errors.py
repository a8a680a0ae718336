"""Errors that a user can fix, and how a command reports them."""

from __future__ import annotations

import functools
import signal
import sys
import warnings
from collections.abc import Callable


class InputError(ValueError):
    """Bad input: an unusable file, option or value. Its text is one clear line for the user.

    The text says what is wrong, where, and what is expected.
    """


class InputWarning(UserWarning):
    """Input that is taken, but may not be what the user means: one clear line."""


class RunError(RuntimeError):
    """A run that cannot go on although its input was accepted (full disk, damaged data). Its text is one line."""


def one_line(error: Exception) -> str:
    """What an error says, in one line; its name if it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def command(main: Callable[..., int | None]) -> Callable[..., int]:
    """Wrap a command's ``main``: errors become one line on stderr and an exit code.

    That is 2 for an :class:`InputError`, 1 for a :class:`RunError`, 130 for Ctrl-C. An :class:`InputWarning` becomes
    one line, once, and the command goes on.
    """

    @functools.wraps(main)
    def run(*args, **kwargs) -> int:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("once", InputWarning)
                warnings.showwarning = _show(warnings.showwarning)
                return main(*args, **kwargs) or 0
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except RunError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 128 + signal.SIGINT

    return run


def _show(otherwise: Callable[..., None]) -> Callable[..., None]:
    """What prints an :class:`InputWarning` as one line, and other warnings as they were."""

    def show(message: Warning | str, category: type[Warning], *where) -> None:
        if issubclass(category, InputWarning):
            print(f"warning: {message}", file=sys.stderr)
        else:
            otherwise(message, category, *where)

    return show
