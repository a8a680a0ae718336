"""The tables say what row.json says."""

import json
import re

import numpy as np
import pytest
from tiny_benchmark import MALA, row, write_benchmark

from gpemsr.benchmark.report.results import load_benchmark
from gpemsr.benchmark.report.scores import Scores, paired_difference
from gpemsr.benchmark.report.tables import cost_table, difference_table, quality_table, segmentation_table
from gpemsr.benchmark.report.text import DASH, engineering, number
from gpemsr.metrics.measures import MEASURES

KEYS = list(MEASURES)


def cells(table, column: int | str) -> dict[str, str]:
    """Markdown cells of a column of figures by method."""
    found = table.frame.iloc[:, column + 1] if isinstance(column, int) else table.frame[column]
    return {name: str(cell) for name, cell in zip(table.frame["Method"], found, strict=True)}


def texts(table) -> dict[str, list[str]]:
    """The figures of each method as they are read."""
    lines = table.frame.set_index("Method").map(lambda cell: re.sub(r"\*\*|\\", "", cell))
    return {str(name): list(line) for name, line in zip(lines.index, lines.to_numpy(), strict=True)}


def best(table) -> dict[str, list[bool]]:
    lines = table.frame.set_index("Method").map(lambda cell: cell.startswith("**"))
    return {str(name): list(line) for name, line in zip(lines.index, lines.to_numpy(), strict=True)}


def scores_of(folder) -> Scores:
    return Scores(load_benchmark(folder))


def scores(folder, slug: str) -> dict:
    return json.loads((folder / "rows" / slug / "row.json").read_text())["scores"]


def test_quality_is_mean_and_spread_of_the_scores(tmp_path):
    table = quality_table(scores_of(write_benchmark(tmp_path)))
    shown = texts(table)
    for name, slug in {"Bicubic": "bicubic", "GPEMSR": "gpemsr", "With HR codes (oracle)": "with_hr_codes"}.items():
        for key in ("psnr", "ssim", "frc_nm"):
            values, digits = np.array(scores(tmp_path, slug)[key]), MEASURES[key].digits
            expected = f"{values.mean():.{digits}f} ± {values.std(ddof=1):.{digits}f}"
            assert shown[name][KEYS.index(key)] == expected


def test_the_oracle_is_set_apart_and_never_best(tmp_path):
    table = quality_table(scores_of(write_benchmark(tmp_path)))
    assert list(texts(table)) == ["Bicubic", "GPEMSR", "With HR codes (oracle)"]
    marked = best(table)
    for key in ("psnr", "ssim", "frc_nm"):
        assert [marks[KEYS.index(key)] for marks in marked.values()] == [False, True, False]


def test_equal_means_are_both_best(tmp_path):
    same = [row("A", level=1), row("B", level=1), row("C")]
    marked = best(quality_table(scores_of(write_benchmark(tmp_path, same))))
    assert [marked[name][0] for name in "ABC"] == [True, True, False]


def test_missing_measure_is_a_dash_with_its_reason(tmp_path):
    table = quality_table(scores_of(write_benchmark(tmp_path)))
    assert texts(table)["Bicubic"][KEYS.index("lpips")] == DASH
    assert "LPIPS: no weights here." in table.notes


def test_section_without_a_value_is_left_out_and_noted(tmp_path):
    values = [20.0, None, 22.0]
    table = quality_table(scores_of(write_benchmark(tmp_path, [row("A", scores={"psnr": values})])))
    assert texts(table)["A"][0] == "21.00 ± 1.41"
    assert "PSNR of A: 2 of 3 sections." in table.notes


def test_differences_are_from_the_best_other_method(tmp_path):
    rows = [row("A"), row("B", level=1), row("C", level=2), row("O", "oracle", level=5)]
    table = difference_table(scores_of(write_benchmark(tmp_path, rows)))
    shown = texts(table)
    assert {name: cells[1] for name, cells in shown.items()} == {"A": "C", "B": "C", "C": "B"}
    for column, key in enumerate(("psnr", "ssim", "frc_nm")):
        for name, baseline in {"a": "c", "b": "c", "c": "b"}.items():
            own, other = (scores(tmp_path, slug)[key] for slug in (name, baseline))
            (mean, *ends, _), digits = paired_difference(own, other), MEASURES[key].digits + 1
            expected = f"{mean:+.{digits}f} [{', '.join(f'{end:z.{digits}f}' for end in ends)}]".replace("-", "−")
            assert shown[name.upper()][2 * column] == expected


def test_clear_leads_are_marked_whichever_way_is_better(tmp_path):
    rows = [row("A"), row("B", level=3)]
    marked = best(difference_table(scores_of(write_benchmark(tmp_path, rows))))
    assert marked["B"][::2] == [True, True, True]  # PSNR, SSIM; FRC is lower and lower is better
    assert marked["A"][::2] == [False, False, False]


def test_cost_is_that_of_the_rows(tmp_path):
    table = cost_table(scores_of(write_benchmark(tmp_path, [row("Bicubic"), row("Fast", seconds=[1.2] * 3)])))
    assert texts(table)["Fast"] == [
        "2.43 M",
        "1.21 M",
        "12.3 G",
        "1.200 ± 0.000",
        "812 MB",
        "29.8",
        "1,400 (stage1 500, stage3 900)",
    ]


def test_cost_that_is_not_known_is_a_dash(tmp_path):
    unknown = {"training": None, "parameters": None, "macs": None, "seconds": [], "peak_memory": None}
    unknown["learned_parameters"] = None
    table = cost_table(scores_of(write_benchmark(tmp_path, [row("A", **unknown)])))
    assert texts(table)["A"] == [DASH] * 7


def test_segmentation_has_the_hr_sections_as_reference(tmp_path):
    table = segmentation_table(load_benchmark(write_benchmark(tmp_path)), "MALA")
    assert list(texts(table)) == ["Bicubic", "GPEMSR", "With HR codes (oracle)", "HR (reference)"]
    assert texts(table)["HR (reference)"] == ["1.250", "0.500", "1.750", "0.250", "0.4"]
    assert [marks[3] for marks in best(table).values()] == [False, True, False, False]


def test_splits_alone_are_not_judged(tmp_path):
    found = [0.0, 0.5]
    rows = [
        row(name, segmentation={"MALA": {**MALA, "voi_split": split}}) for name, split in zip("AB", found, strict=True)
    ]
    table = segmentation_table(load_benchmark(write_benchmark(tmp_path, rows)), "MALA")
    assert [marks[0] for marks in best(table).values()] == [False, False]


@pytest.mark.parametrize(
    ("value", "digits", "text"), [(-0.001, 2, "0.00"), (-1.5, 1, "−1.5"), (1234.5, 1, "1,234.5"), (None, 2, DASH)]
)
def test_numbers(value, digits, text):
    assert number(value, digits) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (1500, "1.50 k"), (2.43e6, "2.43 M"), (7e12, "7.00 T"), (999_700, "1,000 k")],
)
def test_counts(value, text):
    assert engineering(value) == text


def test_membranes_have_a_column_where_they_were_scored(tmp_path):
    rows = [row(n, segmentation={"MALA": {**MALA, "membrane_f1": f}}) for n, f in (("A", 0.9), ("B", 0.8))]
    table = segmentation_table(load_benchmark(write_benchmark(tmp_path / "membranes", rows)), "MALA")
    assert cells(table, "Membrane F1 ↑") == {"A": "**0.900**", "B": "0.800"}
    neurons = segmentation_table(load_benchmark(write_benchmark(tmp_path / "neurons")), "MALA")
    assert "Membrane F1 ↑" not in neurons.frame


def test_caption_names_the_sections_that_were_segmented(tmp_path):
    table = segmentation_table(load_benchmark(write_benchmark(tmp_path)), "MALA")
    assert "in 2 sections, tiny/00000001 to tiny/00000002" in table.caption
