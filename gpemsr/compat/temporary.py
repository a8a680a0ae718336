"""What other libraries find changed for a while only."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

_ABSENT = object()


@contextlib.contextmanager
def temporarily(owner: Any, **values: Any) -> Iterator[None]:
    """Give attributes of ``owner``, a module or class, other values inside the ``with`` block; absent ones are made."""
    before = {name: getattr(owner, name, _ABSENT) for name in values}
    for name, value in values.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, value)


@contextlib.contextmanager
def temporary_modules(modules: Mapping[str, ModuleType]) -> Iterator[None]:
    """Let ``import`` find ``modules`` inside the ``with`` block."""
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in modules:
            sys.modules.pop(name, None)
