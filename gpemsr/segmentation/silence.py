"""Keeping compiled libraries quiet, which write to the process's standard output past Python's ``sys.stdout``."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

STDOUT = 1


@contextlib.contextmanager
def silent_stdout() -> Iterator[None]:
    """Drop what the process prints in this block, from Python or not, in all of its threads.

    Python's buffered output is written first.
    """
    if sys.stdout is not None:
        sys.stdout.flush()
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        kept = os.dup(STDOUT)
        try:
            os.dup2(nowhere.fileno(), STDOUT)
            yield
        finally:
            os.dup2(kept, STDOUT)
            os.close(kept)
