"""docs/results: reports as the benchmark wrote them, of options that are there, and the same figures elsewhere."""

import csv
import re
from pathlib import Path

import pytest

from gpemsr.options.read import read_options

ROOT = Path(__file__).parents[2]
REPORTS = sorted((ROOT / "docs" / "results").glob("*/report.md"))


def named(report: Path) -> str:
    return report.parent.name


def summary(folder: str) -> dict[str, dict[str, str]]:
    """Columns by method of a committed report."""
    with (ROOT / "docs" / "results" / folder / "summary.csv").open() as file:
        return {row["name"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize("report", REPORTS, ids=named)
def test_a_report_has_its_pictures_and_no_others(report):
    pictures = set(re.findall(r"!\[.*?\]\((\S+?)\)", report.read_text()))
    assert pictures == {f"figures/{file.name}" for file in (report.parent / "figures").iterdir()}


def test_pictures_are_under_two_megabytes():
    assert sum(file.stat().st_size for file in (ROOT / "docs" / "results").rglob("*.png")) < 2_000_000


@pytest.mark.parametrize("report", REPORTS, ids=named)
def test_a_report_names_the_option_file_that_it_was_made_with(report):
    command = re.search(r"gpemsr-benchmark -opt (\S+?)</pre>", report.read_text())
    assert command is not None
    options = read_options(ROOT / command[1])
    assert options["name"] == named(report)
    assert [row["name"] for row in options["methods"]] == [name for name in summary(named(report)) if name != "HR"]


@pytest.mark.parametrize("report", REPORTS, ids=named)
def test_every_row_of_a_report_has_figures(report):
    assert {name: row["error"] for name, row in summary(named(report)).items() if row["error"]} == {}


def test_the_readme_has_the_figures_of_the_report():
    table = re.findall(
        r"^\| (\S+) \| (\S+) dB \| (\S+) \| (\S+) nm \|$", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    found = summary("fib25_x8")
    assert len(table) == 6
    for name, *figures in table:
        row = found[name]
        psnr, ssim, frc = (float(row[f"{measure}_mean"]) for measure in ("psnr", "ssim", "frc_nm"))
        assert figures == [f"{psnr:.2f}", f"{ssim:.4f}", f"{frc:.1f}"]


@pytest.mark.parametrize("report", REPORTS, ids=named)
def test_every_file_that_a_report_names_was_there(report):
    assert "absent" not in report.read_text()


@pytest.mark.parametrize("report", REPORTS, ids=named)
def test_hr_sections_are_segmented_better_than_bicubic_ones(report):
    rows = summary(named(report))
    if "HR" not in rows or "bicubic" not in rows:
        pytest.skip("a report without segmentation or without bicubic")
    columns = [name for name in rows["HR"] if name.endswith(("_voi", "_adapted_rand"))]
    assert columns
    for name in columns:
        assert float(rows["HR"][name]) < float(rows["bicubic"][name]), name


@pytest.mark.parametrize("report", REPORTS, ids=named)
def test_the_means_are_those_of_the_sections(report):
    with (report.parent / "sections.csv").open() as file:
        lines = list(csv.DictReader(file))
    for name, row in summary(named(report)).items():
        psnr = [float(line["psnr"]) for line in lines if line["name"] == name]
        assert bool(psnr) == bool(row["psnr_mean"])
        if psnr:
            assert sum(psnr) / len(psnr) == pytest.approx(float(row["psnr_mean"]))
