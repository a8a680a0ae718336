"""Each shipped option file is accepted; a renamed key and a wrong type, one of each schema, are refused by name."""

import copy
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from baseline_networks import needs_mmagic
from tiny_stages import AFFINITY_NETWORKS, write_network

import gpemsr
from gpemsr.archs.weights import SPYNET, VGG19
from gpemsr.errors import InputError
from gpemsr.options.check import check_options
from gpemsr.options.read import read_options

OPTIONS = Path(__file__).resolve().parents[2] / "options"
FILES = sorted(  # but for parts of files, and those of benchmarks, which train nothing
    file
    for file in set(OPTIONS.rglob("*.yml")) - set((OPTIONS / "benchmark").glob("*.yml"))
    if file.parent.name != "_base_"
)
WITH_MMAGIC = ("basicvsr_plusplus", "tdan")
WRONG = {"neither": "text, number nor list"}
Keys = tuple[str, ...]


def marks(file: Path) -> tuple | pytest.MarkDecorator:
    return needs_mmagic if file.name.startswith(WITH_MMAGIC) else ()


def sections(section: Mapping, model_type: str, place: Keys = ()) -> Iterator[tuple[str, Keys]]:
    """(Schema, keys that lead to it) of each mapping: its ``type``, or else its place and, if it has its own, model."""
    where = ".".join(place) or "top"
    own = f"{where} of {model_type}" if where in ("train", "val", "path") else where
    yield section.get("type", own), place
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from sections(value, model_type, (*place, key))


def schemas() -> dict[str, tuple[Path, Keys]]:
    """Of each schema of the shipped files, one section: its file and the keys that lead to it."""
    found: dict[str, tuple[Path, Keys]] = {}
    for file in FILES:
        options = read_options(file)
        for name, place in sections(options, options["model_type"]):
            if place not in [("datasets",), ("val", "metrics")] and section_of(options, place):  # names in it are free
                found.setdefault(name, (file, place))
    return found


def section_of(options: dict, place: Keys) -> dict:
    for name in place:
        options = options[name]
    return options


@pytest.fixture(scope="module", autouse=True)
def registered():
    gpemsr.register()


@pytest.fixture(autouse=True)
def downloaded_weights(tmp_path, monkeypatch):
    """Published weights are in torch's cache already."""
    cache = tmp_path / "torch" / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    for published in (VGG19, SPYNET):
        (cache / published.url.rsplit("/", 1)[1]).touch()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def load(file: Path, folder: Path) -> dict:
    """The file's options, with paths that exist and, without CUDA, for the CPU."""
    options = read_options(file)
    weights = folder / "weights.pth"
    weights.touch()
    for dataset in options["datasets"].values():
        dataset |= {key: str(folder) for key in dataset if key.startswith("dataroot") and dataset[key]}
    options["path"] |= {
        key: str(weights) for key, value in options["path"].items() if key.startswith("pretrain") and value
    }
    if loss := (options.get("train") or {}).get("perceptual_opt"):
        loss["weights"] = write_network(folder / "affinities.pth", AFFINITY_NETWORKS[0])
    if not torch.cuda.is_available():
        options["num_gpu"] = 0
    return options


def test_the_size_of_a_codebook_is_set_in_two_files():
    files = {str(file.relative_to(OPTIONS)) for file in OPTIONS.rglob("*.yml") if "num_codes:" in bare(file)}
    assert files == {"stage1.yml", "test_x8.yml", "demo/stage1.yml", "demo/_base_/gpemsr.yml"}


def bare(file: Path) -> str:
    """An option file's text without comments."""
    return re.sub("#.*", "", file.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "file", [pytest.param(file, id=str(file.relative_to(OPTIONS)), marks=marks(file)) for file in FILES]
)
def test_each_file_is_accepted(file, tmp_path):
    check_options(load(file, tmp_path), str(file), "train" in read_options(file))


@pytest.mark.parametrize(
    ("file", "place"), [pytest.param(*found, id=name, marks=marks(found[0])) for name, found in schemas().items()]
)
def test_a_renamed_key_and_a_wrong_type_are_refused_by_name(file, place, tmp_path):
    options = load(file, tmp_path)
    key = list(section_of(options, place))[-1]
    renamed, wrong = copy.deepcopy(options), copy.deepcopy(options)
    section = section_of(renamed, place)
    section[f"x{key}"] = section.pop(key)
    section_of(wrong, place)[key] = WRONG
    for broken in (renamed, wrong):
        with pytest.raises(InputError) as refused:
            check_options(broken, "my.yml", "train" in options)
        assert key in str(refused.value)
