"""The napari plugin can be imported in a process into which OpenGL has brought another LLVM."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpemsr.compat.triton_import import import_triton

LLVM = sorted(Path("/usr/lib").glob("*/libLLVM*.so*"))


@pytest.mark.skipif(not LLVM, reason="no libLLVM in /usr/lib")
def test_it_is_imported_beside_another_llvm():
    program = "import ctypes, sys; ctypes.CDLL(sys.argv[1], ctypes.RTLD_GLOBAL); import gpemsr.napari, torchvision"
    subprocess.run([sys.executable, "-c", program, LLVM[-1]], check=True, timeout=120)


def test_systems_without_the_flag_are_left_alone(monkeypatch):
    monkeypatch.delattr(os, "RTLD_DEEPBIND")
    monkeypatch.delattr(sys, "setdlopenflags")
    import_triton()
