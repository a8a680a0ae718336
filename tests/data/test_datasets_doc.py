"""docs/datasets.md: its examples build, and it names every key and every data set."""

import re
from pathlib import Path

import pytest
import yaml

import gpemsr
from gpemsr.compat import importable_basicsr

with importable_basicsr():
    from basicsr.data import build_dataset
    from basicsr.utils.registry import DATASET_REGISTRY

PAGE = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")
EXAMPLES = [
    (phase, options)
    for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    for phase, options in yaml.safe_load(block).items()
]


def own_data_sets() -> dict[str, type]:
    gpemsr.register()
    return {name: kind for name, kind in DATASET_REGISTRY if kind.__module__.startswith("gpemsr.")}


@pytest.mark.parametrize(("phase", "options"), EXAMPLES, ids=[f"{p}-{o['type']}" for p, o in EXAMPLES])
def test_example_builds_and_gives_an_item(make_stores, phase, options):
    gpemsr.register()
    stores = make_stores({"cell": [0, 1, 2]}, backend=options["io_backend"]["type"])
    roots = {key: stores[key] for key, value in options.items() if key.startswith("dataroot") and value}
    item = build_dataset({**options, **roots, "phase": phase, "scale": 8})[0]
    assert item["lq" if options["dataroot_gt"] is None else "gt"].shape[-3] == 1
    assert ("gt" in item) == (options["dataroot_gt"] is not None)


def test_page_names_every_data_set():
    assert {name for name in own_data_sets() if f"`{name}`" not in PAGE} == set()


def test_page_names_every_key():
    keys = {key for kind in own_data_sets().values() for key in kind.Options.model_fields}
    keys -= {"phase", "type"}  # the name of the section, and the table of data sets
    assert {key for key in keys if f"`{key}`" not in PAGE and f"`{key}:" not in PAGE} == set()
