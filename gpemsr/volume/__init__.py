"""How a whole stack is super-resolved: one loop along z, in which each section is encoded once.

``super_resolve(Job(source, output, weights))`` is what ``gpemsr-upscale`` does.
"""

import importlib
from typing import Any

_MODULES = {"Job": "gpemsr.volume.plan", "super_resolve": "gpemsr.volume.perform"}


def __getattr__(name: str) -> Any:
    """Import what is asked for; the loop alone needs no readers."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
