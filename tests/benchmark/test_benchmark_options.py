"""Option files of ``gpemsr-benchmark``: the shipped ones, and what is refused."""

from pathlib import Path

import pytest
import yaml

import gpemsr
from gpemsr.benchmark.budget_options import BudgetOptions
from gpemsr.benchmark.equal_budget import rescaled
from gpemsr.benchmark.options import BenchmarkOptions, read_benchmark, slug
from gpemsr.errors import InputError
from gpemsr.options.check import check_options
from gpemsr.options.place import Place, check_schema
from gpemsr.options.read import merged, read_options, to_plain

CHECKOUT = Path(__file__).resolve().parents[2]
OPTIONS = CHECKOUT / "options" / "benchmark"
SHIPPED = sorted(OPTIONS.glob("*.yml"))
TRAININGS = [file for file in SHIPPED if file.name.startswith("train_")]
TRAINED_BY = {
    "fib25_x8": ["fib25"],
    "neurons_x8": ["fib25"],
    "isbi2012_x8": ["isbi2012"],
    "ablation_x8": ["fib25"],
}


def trained(name: str) -> set[str]:
    """The experiments of ``train_<name>.yml``, as paths."""
    options = BudgetOptions.model_validate(to_plain(read_options(OPTIONS / f"train_{name}.yml")))
    return {f"{options.folder}/{{}}/{stage.experiment}" for method in options.methods for stage in method.stages}


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_a_shipped_file_is_valid(file):
    section = to_plain(read_options(file))
    check_schema(BudgetOptions if file in TRAININGS else BenchmarkOptions, section, Place(str(file)))
    assert section["methods"]


@pytest.mark.parametrize("file", sorted(set(SHIPPED) - set(TRAININGS)), ids=lambda file: file.stem)
def test_the_option_files_that_it_names_are_there_or_made_by_the_trainings(file):
    section = to_plain(read_options(file))
    named = {row["options"] for row in section["methods"]}
    named |= {s["options"] for s in (section.get("segmentation") or {}).get("segmenters", [])}
    made = {path.format("options") + ".yml" for name in TRAINED_BY.get(file.stem, []) for path in trained(name)}
    assert [name for name in named - made if not (CHECKOUT / name).is_file()] == []


@pytest.mark.parametrize(("file", "names"), TRAINED_BY.items())
def test_what_is_benchmarked_is_what_was_trained(file, names):
    made = set().union(*(trained(name) for name in names))
    for row in read_options(OPTIONS / f"{file}.yml")["methods"]:
        if row.get("weights"):
            experiment = row["options"].replace("/options/", "/{}/").removesuffix(".yml")
            assert experiment in made
            assert row["weights"] == f"{experiment.format('experiments')}/models/net_g_latest.pth"
            for record in row.get("trainings", []):
                assert record.replace("/trainings/", "/{}/").removesuffix(".json") in made


@pytest.mark.parametrize("file", TRAININGS, ids=lambda file: file.stem)
def test_each_training_has_valid_options(file, tmp_path):
    """With its changes, and the schedule that its share of the time asks for."""
    gpemsr.register()
    options = BudgetOptions.model_validate(to_plain(read_options(file)))
    (tmp_path / "weights.pth").touch()
    for stage in {stage.experiment: stage for method in options.methods for stage in method.stages}.values():
        section = rescaled(merged(to_plain(read_options(CHECKOUT / stage.options)), stage.changes), 100)
        for dataset in section["datasets"].values():
            dataset |= {key: str(tmp_path) for key in dataset if key.startswith("dataroot")}
        for key, value in section["path"].items():
            if key.startswith("pretrain") and value:
                section["path"][key] = str(tmp_path / "weights.pth")
        check_options(section, stage.experiment, True)


@pytest.fixture
def file(tmp_path) -> Path:
    for name in ("hr", "lr", "ids.tif", "net.yml", "net.pth"):
        (tmp_path / name).touch()
    segmenter = {"name": "U", "options": str(tmp_path / "net.yml"), "weights": str(tmp_path / "net.pth")}
    section = {
        "name": "t",
        "title": "T",
        "scale": 8,
        "out": str(tmp_path / "out"),
        "data": {
            "dataroot_gt": str(tmp_path / "hr"),
            "dataroot_lq": str(tmp_path / "lr"),
            "io_backend": {"type": "disk"},
        },
        "methods": [{"name": "bicubic", "options": "b.yml"}, {"name": "A", "options": "a.yml", "weights": "a.pth"}],
        "segmentation": {"ids": str(tmp_path / "ids.tif"), "segmenters": [segmenter]},
    }
    path = tmp_path / "x8.yml"
    path.write_text(yaml.safe_dump(section))
    return path


TWINS = [{"name": name, "options": __file__, "weights": __file__} for name in ("U-Net", "u net")]


def changed(file: Path, *keys, value) -> Path:
    section = yaml.safe_load(file.read_text())
    inner = section
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    file.write_text(yaml.safe_dump(section))
    return file


def test_methods_files_and_weights_are_for_their_rows_to_check(file):
    assert [method.name for method in read_benchmark(file).methods] == ["bicubic", "A"]


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("scales",), 8, "scales: unknown key; did you mean scale"),
        (("scale",), "8", "scale"),
        (("data", "dataroot_gt"), "absent", "dataroot_gt"),
        (("methods",), [], "methods"),
        (("methods", 0, "name"), "a", "names that differ"),
        (("methods", 0, "name"), "HR", "none of them 'hr'"),
        (("methods", 0, "oracle"), "luck", "oracle"),
        (("segmentation", "ids"), "absent.tif", "segmentation.ids"),
        (("segmentation", "labels"), "cells", "labels"),
        (("segmentation", "thresholds"), [0.5, 0.1], "increasing"),
        (("segmentation", "sections"), [3, 3], "segmentation.sections"),
        (("segmentation", "segmenters", 0, "weights"), "absent.pth", "weights"),
        (("segmentation", "segmenters"), TWINS, "segmentation.segmenters.*names that differ"),
    ],
)
def test_a_wrong_option_is_refused_by_name(file, keys, value, message):
    with pytest.raises(InputError, match=message) as error:
        read_benchmark(changed(file, *keys, value=value))
    assert str(error.value).startswith(f"{file}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "expected"), [("GPEMSR, true codes", "gpemsr__true_codes"), ("EDVR-L", "edvr_l")])
def test_a_rows_folder_has_letters_digits_and_underscores(name, expected):
    assert slug(name) == expected
