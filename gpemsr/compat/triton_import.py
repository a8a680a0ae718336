"""Importing triton, as torchvision does, in a process that already has another LLVM: that of Mesa's OpenGL drivers."""

from __future__ import annotations

import contextlib
import os
import sys


def import_triton() -> None:
    """Import triton, where it is installed, so that its own LLVM symbols come first; before torchvision is imported.

    Otherwise importing torchvision in a program with an OpenGL window (napari) ends in a segmentation fault. Without
    glibc (macOS) there is no such flag, and nothing is done.
    """
    if not hasattr(os, "RTLD_DEEPBIND"):
        return
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | os.RTLD_DEEPBIND)
    try:
        with contextlib.suppress(ImportError):
            import triton  # noqa: F401
    finally:
        sys.setdlopenflags(flags)
