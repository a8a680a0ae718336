"""Option files of ``gpemsr-benchmark``: the shipped ones, and what is refused."""

from pathlib import Path

import pytest
import yaml

from gpemsr.errors import InputError
from gpemsr.evaluation.benchmark_options import BenchmarkOptions, read_benchmark, slug
from gpemsr.evaluation.equal_budget import BudgetOptions
from gpemsr.option_checks import Place, check_schema
from gpemsr.options import read_options, to_plain

CHECKOUT = Path(__file__).resolve().parents[2]
SHIPPED = sorted((CHECKOUT / "options" / "benchmark").glob("*.yml"))


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_a_shipped_file_fits_and_names_option_files_that_there_are(file):
    section = to_plain(read_options(file))
    schema = BudgetOptions if file.name.startswith("train_") else BenchmarkOptions
    check_schema(schema, section, Place(str(file)))
    named = [stage["options"] for m in section["methods"] for stage in m.get("stages", [m])]
    named += [s["options"] for s in (section.get("segmentation") or {}).get("segmenters", [])]
    assert named
    assert [name for name in named if not (CHECKOUT / name).is_file()] == []


@pytest.mark.parametrize("name", ["fib25", "isbi2012"])
def test_what_is_benchmarked_is_what_was_trained(name):
    trained = {
        f"{train['folder']}/experiments/{Path(stage['options']).stem}/models/net_g_latest.pth"
        for train in [read_options(CHECKOUT / f"options/benchmark/train_{name}.yml")]
        for method in train["methods"]
        for stage in method["stages"]
    }
    rows = read_options(CHECKOUT / f"options/benchmark/{name}_x8.yml")["methods"]
    assert {row["weights"] for row in rows if row.get("weights")} <= trained


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
    ],
)
def test_what_does_not_fit_is_refused_by_name(file, keys, value, message):
    with pytest.raises(InputError, match=message) as error:
        read_benchmark(changed(file, *keys, value=value))
    assert str(error.value).startswith(f"{file}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "expected"), [("GPEMSR, true codes", "gpemsr__true_codes"), ("EDVR-L", "edvr_l")])
def test_a_rows_folder_has_letters_digits_and_underscores(name, expected):
    assert slug(name) == expected


def test_segmenters_of_the_comparison_are_checked_as_training_files_are():
    from test_option_files import FILES

    found = {file.name for file in FILES if file.parent.name == "segmentation" and "benchmark" in file.parts}
    assert found == {"mala_fib25.yml", "superhuman_fib25.yml", "superhuman_isbi2012.yml"}
