"""docs/export.md: its commands and its Python run as written, with the network that comes with the package."""

import re
import shlex
from pathlib import Path

import pytest

from gpemsr.cli.export import main

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "export.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_page(tmp_path, monkeypatch, capsys):
    pytest.importorskip("bioimageio.core", reason="the extra 'export' is not installed")
    monkeypatch.chdir(tmp_path)
    (command,) = re.findall(r"^```bash\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert main(shlex.split(command)[1:]) == 0
    differences = [float(figure) for figure in re.findall(r"network by (\S+) at most", capsys.readouterr().out)]
    assert len(differences) == 2 and max(differences) <= 1e-4
    (script,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    exec(compile(script, "<page>", "exec"), {})
