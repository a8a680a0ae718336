"""docs/checkpoints.md: its commands and its Python example run."""

import re
import shlex
from pathlib import Path

import pytest
import torch
import yaml
from narrow_networks import NARROW, authors_state, narrow_network

from gpemsr.cli.convert import main

PAGE = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def workdir(tmp_path, monkeypatch):
    """A folder with the files that the page speaks of."""
    monkeypatch.chdir(tmp_path)
    for folder in ("weights", "options", "experiments/stage3_x8/models"):
        Path(folder).mkdir(parents=True)
    torch.save(authors_state("GPEMSR-x8"), "weights/stage3_x8.pth")
    torch.save({"params": narrow_network("GPEMSR-x8").state_dict()}, "experiments/stage3_x8/models/net_g_latest.pth")
    Path("options/stage3_x8.yml").write_text(yaml.safe_dump({"network_g": NARROW["GPEMSR-x8"]}))


def blocks(language: str) -> str:
    return "\n".join(re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL))


def test_commands_run():
    commands = [shlex.split(line) for line in blocks("bash").splitlines() if line]
    assert len(commands) == 4
    for program, *arguments in commands:
        assert program == "gpemsr-convert"
        assert main(arguments) == 0


def test_python_example_goes_there_and_back():
    scope: dict = {}
    exec(blocks("python"), scope)
    state = authors_state("GPEMSR-x8")
    assert all(torch.equal(value, state[key]) for key, value in scope["again"].items())
