"""How BasicSR 1.4.2 and MMagic 1.2.0 differ from today's torch: the one place that knows.

Each function mends one breakage and says which. :func:`importable_basicsr` has no lasting effect and
is what a module of ours uses; :func:`apply` installs the lasting ones and is called by the entry
points (``gpemsr-train``, ``gpemsr-test``) only, never by importing an architecture.
"""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Iterator


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
    sys.modules[name] = stand_in
    try:
        yield
    finally:
        del sys.modules[name]
