"""Importing BasicSR with today's torchvision."""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Iterator

from gpemsr.compat.temporary import temporary_modules


@contextlib.contextmanager
def importable_basicsr() -> Iterator[None]:
    """Let ``import basicsr`` succeed inside the ``with`` block.

    BasicSR imports ``rgb_to_grayscale`` from ``torchvision.transforms.functional_tensor``, a module that
    torchvision 0.17 removed. A stand-in holding that one function is in ``sys.modules`` while the block
    runs, unless BasicSR is imported already or torchvision still has the module; afterwards it is gone.
    """
    name = "torchvision.transforms.functional_tensor"
    if "basicsr" in sys.modules or name in sys.modules:
        yield
        return
    from torchvision.transforms.functional import rgb_to_grayscale

    stand_in = types.ModuleType(name)
    stand_in.rgb_to_grayscale = rgb_to_grayscale  # type: ignore[attr-defined]
    with temporary_modules({name: stand_in}):
        yield
