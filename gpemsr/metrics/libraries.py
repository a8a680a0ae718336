"""The libraries of the extra ``benchmark``, imported where they are used."""

from __future__ import annotations

import importlib
from types import ModuleType

from gpemsr.errors import InputError


def library(module: str, user: str) -> ModuleType:
    """Import a module of the extra. Raises InputError if it is absent; ``user`` says what needs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(f"{user} needs {module} ({error}): pip install gpemsr[benchmark]") from None
