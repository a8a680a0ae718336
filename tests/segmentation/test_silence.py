"""The process's standard output, dropped for a while."""

import os
import subprocess
import sys

import pytest

from gpemsr.segmentation.silence import silent_stdout


def run(script: str) -> subprocess.CompletedProcess:
    script = f"import os\nfrom gpemsr.segmentation.silence import silent_stdout\n{script}"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)


def test_only_what_is_written_meanwhile_is_dropped():
    done = run(
        "print('before')\n"
        "with silent_stdout():\n"
        "    os.write(1, b'by a library\\n')\n"
        "    print('by Python')\n"
        "    os.write(2, b'an error\\n')\n"
        "print('after')"
    )
    assert (done.stdout, done.stderr) == ("before\nafter\n", "an error\n")


def test_an_error_passes_and_output_is_back(capfd):
    with pytest.raises(RuntimeError, match="of the library"), silent_stdout():
        raise RuntimeError("of the library")
    os.write(1, b"after\n")
    assert capfd.readouterr().out == "after\n"


def test_no_descriptor_is_left_open():
    before = len(os.listdir("/dev/fd"))
    for _ in range(3):
        with silent_stdout():
            pass
    assert len(os.listdir("/dev/fd")) == before


def test_without_a_standard_output_nothing_need_be_dropped():
    done = run("os.close(1)\nwith silent_stdout():\n    pass\nos.write(2, b'done')")
    assert done.stderr.startswith("done")
