"""The CSV files hold the figures of row.json without rounding."""

import csv
import json

import numpy as np
import pytest
from tiny_benchmark import row, three_rows, write_benchmark

from gpemsr.benchmark.report.results import load_benchmark
from gpemsr.benchmark.report.scores import Scores, paired_difference, write_csv_files
from gpemsr.metrics.measures import MEASURES


def read(path) -> list[dict]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def written(folder, rows=None) -> tuple[dict[str, dict], list[dict], dict[str, dict]]:
    """Lines of summary.csv by slug, those of sections.csv, and row.json by slug."""
    write_csv_files(Scores(load_benchmark(write_benchmark(folder, rows))))
    given = {path.parent.name: json.loads(path.read_text()) for path in folder.glob("rows/*/row.json")}
    return {line["slug"]: line for line in read(folder / "summary.csv")}, read(folder / "sections.csv"), given


def test_summary_has_every_row_and_its_means(tmp_path):
    summary, _, given = written(tmp_path)
    assert list(summary) == ["bicubic", "gpemsr", "with_hr_codes", "hr"]
    for slug, line in summary.items():
        for name in MEASURES:
            values = given[slug]["scores"].get(name)
            if values is None:
                assert line[f"{name}_mean"] == line[f"{name}_std"] == ""
            else:
                assert float(line[f"{name}_mean"]) == pytest.approx(np.mean(values), rel=1e-12)
                assert float(line[f"{name}_std"]) == pytest.approx(np.std(values, ddof=1), rel=1e-12)
        assert float(line["parameters"]) == given[slug]["parameters"]
        assert float(line["MALA_adapted_rand"]) == given[slug]["segmentation"]["MALA"]["adapted_rand"]
        assert line["training_iterations"] == "1400"


def test_summary_has_differences_of_all_measures_from_the_best_other_method(tmp_path):
    summary, _, given = written(tmp_path)
    for name in ("psnr", "ssim", "frc_nm"):
        found = paired_difference(given["gpemsr"]["scores"][name], given["bicubic"]["scores"][name])
        line = summary["gpemsr"]
        assert line[f"{name}_difference_from"] == "bicubic"
        bounds = [float(line[f"{name}_difference{end}"]) for end in ("", "_low", "_high")]
        assert bounds == pytest.approx([found.mean, found.low, found.high], rel=1e-12)
    assert summary["with_hr_codes"]["psnr_difference"] == ""
    assert all(f"{name}_difference_from" in line for name in MEASURES)


def test_sections_are_one_line_for_each_row_and_section(tmp_path):
    _, sections, given = written(tmp_path)
    assert len(sections) == 9
    for line in sections:
        index = int(line["section"].split("/")[1])
        assert float(line["psnr"]) == given[line["slug"]]["scores"]["psnr"][index]
        assert float(line["seconds"]) == given[line["slug"]]["seconds"][index]
        assert line["lpips"] == ""


def test_failed_row_is_in_the_summary_with_its_reason(tmp_path):
    failed = {**row("Broken"), "error": "out of memory, twice", "scores": {}, "seconds": []}
    summary, sections, _ = written(tmp_path, [*three_rows(), failed])
    assert summary["broken"]["error"] == "out of memory, twice"
    assert summary["broken"]["psnr_mean"] == ""
    assert {line["slug"] for line in sections} == {"bicubic", "gpemsr", "with_hr_codes"}
