"""docs/architecture.md: its rooms are the folders, and a section passes the types that it names."""

import importlib
import re
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
PAGE = (CHECKOUT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_rooms_are_the_folders():
    table = PAGE.partition("| room |")[2].partition("\n\n")[0]
    rooms = {name for line in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert rooms == {path.parent.name for path in (CHECKOUT / "gpemsr").glob("*/__init__.py")}


def test_the_files_to_change_exist():
    table = PAGE.partition("## Where to change what")[2].partition("\n## ")[0]
    files = re.findall(r"`([\w/]+\.(?:py|jinja|yml))`", table)
    assert len(files) >= 9
    assert [file for file in files if not (CHECKOUT / file).is_file()] == []


def test_the_types_of_the_walk_exist_and_are_few():
    types = re.findall(r"^\| \d+ \| `([\w.]+)\.(\w+)`", PAGE, re.MULTILINE)
    assert 0 < len(types) <= 9
    diagram = re.findall(r"```mermaid\n(.*?)```", PAGE, re.DOTALL)[1]
    for module, name in types:
        assert isinstance(getattr(importlib.import_module(module), name), type)
        assert name in diagram
