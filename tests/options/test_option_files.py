"""Every shipped option file fits, and every one of its keys, renamed or of a wrong type, is refused by name."""

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from rivals import needs_mmagic

import gpemsr
from gpemsr.archs.weights import SPYNET, VGG19
from gpemsr.errors import InputError
from gpemsr.options.check import check_options
from gpemsr.options.read import read_options

OPTIONS = Path(__file__).resolve().parents[2] / "options"
FILES = sorted(set(OPTIONS.rglob("*.yml")) - set((OPTIONS / "benchmark").glob("*.yml")))  # those train nothing
WITH_MMAGIC = ("basicvsr_plusplus", "tdan")
WRONG = {"neither": "text, number nor list"}


def sample(file: Path, options: Mapping) -> Iterator[tuple[str, ...]]:
    """Every key of the file; of a baseline's, which is stage III's but for its network, the network's."""
    for path in leaves(options):
        if "baselines" not in file.parts or path[0] == "network_g":
            yield path


def leaves(section: Mapping, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key of the file, as a path of names."""
    for key, value in section.items():
        yield (*prefix, key)
        if isinstance(value, Mapping):
            yield from leaves(value, (*prefix, key))


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
    if not torch.cuda.is_available():
        options["num_gpu"] = 0
    return options


def section_of(options: dict, path: tuple[str, ...]) -> dict:
    for name in path[:-1]:
        options = options[name]
    return options


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(
            file,
            id=str(file.relative_to(OPTIONS)),
            marks=needs_mmagic if file.name.startswith(WITH_MMAGIC) else (),
        )
        for file in FILES
    ],
)
class TestShippedFile:
    def test_fits(self, file, tmp_path):
        check_options(load(file, tmp_path), str(file), "train" in read_options(file))

    def test_each_renamed_key_is_refused_by_name(self, file, tmp_path):
        options = load(file, tmp_path)
        for path in sample(file, options):
            if path[:2] == ("val", "metrics") and len(path) == 3:
                continue  # the names of metrics are free
            broken = copy.deepcopy(options)
            section = section_of(broken, path)
            section[f"x{path[-1]}"] = section.pop(path[-1])
            with pytest.raises(InputError) as refused:
                check_options(broken, "my.yml", "train" in options)
                pytest.fail(f"{'.'.join(path)} renamed passed")
            assert path[-1] in str(refused.value), path

    def test_each_wrong_type_is_refused_by_name(self, file, tmp_path):
        options = load(file, tmp_path)
        for path in sample(file, options):
            if isinstance(section_of(options, path)[path[-1]], Mapping):
                continue
            broken = copy.deepcopy(options)
            section_of(broken, path)[path[-1]] = WRONG
            with pytest.raises(InputError) as refused:
                check_options(broken, "my.yml", "train" in options)
                pytest.fail(f"{'.'.join(path)} passed as {WRONG}")
            assert path[-1] in str(refused.value), path
