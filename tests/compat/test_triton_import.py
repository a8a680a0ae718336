"""The napari plugin can be imported in a process into which OpenGL has brought another LLVM."""

import subprocess
import sys
from pathlib import Path

import pytest

LLVM = sorted(Path("/usr/lib").glob("*/libLLVM*.so*"))


@pytest.mark.skipif(not LLVM, reason="no libLLVM in /usr/lib")
def test_it_is_imported_beside_another_llvm():
    program = "import ctypes, sys; ctypes.CDLL(sys.argv[1], ctypes.RTLD_GLOBAL); import gpemsr.napari, torchvision"
    subprocess.run([sys.executable, "-c", program, LLVM[-1]], check=True, timeout=120)
