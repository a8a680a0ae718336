"""Where MMagic and mmcv are not installed, BasicSR's route works, and MMagic's says in one line what to install."""

import os
import subprocess
import sys

import yaml
from tiny_stages import stage_options, write_sections

SCRIPT = """
import sys
sys.modules |= dict.fromkeys(("mmagic", "mmcv", "mmengine"))  # importing them is an ImportError
import gpemsr.cli.train, gpemsr.cli.train_mmagic
assert gpemsr.cli.train.main(["-opt", "tiny.yml"]) == 0
try:
    import gpemsr.mmagic
except ImportError as error:
    print(error)
assert gpemsr.cli.train_mmagic.main(["any.py"]) == 2
"""


def test_basicsrs_route_needs_neither_and_mmagics_says_what_to_install(tmp_path):
    write_sections(tmp_path)
    options = stage_options(1, tmp_path, total_iter=1)
    del options["val"], options["datasets"]["val"]
    (tmp_path / "tiny.yml").write_text(yaml.safe_dump(options, sort_keys=False))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    message = "mmengine is not installed, which MMagic needs: pip install gpemsr[mmagic]"
    assert done.stdout.splitlines()[-1] == message
    assert done.stderr.splitlines()[-1] == f"error: {message}"
