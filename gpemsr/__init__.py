"""GPEMSR: large-factor super-resolution of electron-microscopy volumes with generative priors."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from gpemsr.compat import importable_basicsr

__version__ = "0.1.0"
__all__ = ["__version__", "import_members", "register"]

SUFFIXES = {
    "gpemsr.archs": "_arch",
    "gpemsr.losses": "_loss",
    "gpemsr.models": "_model",
    "gpemsr.data": "_dataset",
}


def import_members(package: str) -> list[ModuleType]:
    """Import every module of ``package`` that registers something: those named like BasicSR's own.

    They are recognised by the ending of the file name (``*_arch.py``, ``*_loss.py``, ``*_model.py``,
    ``*_dataset.py``). BasicSR itself is imported first.
    """
    with importable_basicsr():
        importlib.import_module("basicsr")
    path = importlib.import_module(package).__path__
    names = sorted(module.name for module in pkgutil.iter_modules(path) if module.name.endswith(SUFFIXES[package]))
    return [importlib.import_module(f"{package}.{name}") for name in names]


def register() -> None:
    """Register everything of ours; after it BasicSR's ``build_*`` functions find it by name. Repeatable."""
    for package in SUFFIXES:
        import_members(package)
