"""The tables and the sentence say what row.json says."""

import json

import numpy as np
import pytest
from tiny_benchmark import MALA, SECTIONS, row, write_benchmark

from gpemsr.benchmark.report.headline import headline
from gpemsr.benchmark.report.results import load_benchmark
from gpemsr.benchmark.report.tables import (
    DASH,
    cost_table,
    difference_table,
    engineering,
    number,
    quality_table,
    segmentation_table,
    significant,
)
from gpemsr.benchmark.statistics import paired_difference
from gpemsr.metrics.measures import MEASURES

KEYS = list(MEASURES)


def texts(table) -> dict[str, list[str]]:
    return {line.name: [cell.text for cell in line.cells] for line in table.lines}


def best(table) -> dict[str, list[bool]]:
    return {line.name: [cell.best for cell in line.cells] for line in table.lines}


def scores(folder, slug: str) -> dict:
    return json.loads((folder / "rows" / slug / "row.json").read_text())["scores"]


def test_quality_is_mean_and_spread_of_the_scores(tmp_path):
    table = quality_table(load_benchmark(write_benchmark(tmp_path)))
    shown = texts(table)
    for name, slug in {"Bicubic": "bicubic", "GPEMSR": "gpemsr", "With HR codes": "with_hr_codes"}.items():
        for key in ("psnr", "ssim", "frc_nm"):
            values, digits = np.array(scores(tmp_path, slug)[key]), MEASURES[key].digits
            expected = f"{values.mean():.{digits}f} ± {values.std(ddof=1):.{digits}f}"
            assert shown[name][KEYS.index(key)] == expected


def test_the_oracle_is_set_apart_and_never_best(tmp_path):
    table = quality_table(load_benchmark(write_benchmark(tmp_path)))
    assert [line.kind for line in table.lines] == ["method", "method", "oracle"]
    marked = best(table)
    for key in ("psnr", "ssim", "frc_nm"):
        assert [marked[name][KEYS.index(key)] for name in ("Bicubic", "GPEMSR", "With HR codes")] == [
            False,
            True,
            False,
        ]


def test_equal_means_are_both_best(tmp_path):
    same = [row("A", level=1), row("B", level=1), row("C")]
    marked = best(quality_table(load_benchmark(write_benchmark(tmp_path, same))))
    assert [marked[name][0] for name in "ABC"] == [True, True, False]


def test_missing_measure_is_a_dash_with_its_reason(tmp_path):
    table = quality_table(load_benchmark(write_benchmark(tmp_path)))
    cell = table.lines[0].cells[KEYS.index("lpips")]
    assert cell.text == DASH
    assert cell.note is not None and table.notes[cell.note - 1] == "LPIPS: no weights here."


def test_section_without_a_value_is_left_out_and_told(tmp_path):
    values = [20.0, None, 22.0]
    table = quality_table(load_benchmark(write_benchmark(tmp_path, [row("A", scores={"psnr": values})])))
    cell = table.lines[0].cells[0]
    assert cell.text == "21.00 ± 1.41"
    assert cell.note is not None and "2 of 3" in table.notes[cell.note - 1]


def test_differences_are_from_the_best_other_method(tmp_path):
    rows = [row("A"), row("B", level=1), row("C", level=2), row("O", "oracle", level=5)]
    table = difference_table(load_benchmark(write_benchmark(tmp_path, rows)))
    shown = texts(table)
    assert {name: cells[1] for name, cells in shown.items()} == {"A": "C", "B": "C", "C": "B"}
    for column, key in enumerate(("psnr", "ssim", "frc_nm")):
        for name, rival in {"a": "c", "b": "c", "c": "b"}.items():
            own, other = (scores(tmp_path, slug)[key] for slug in (name, rival))
            found, digits = paired_difference(own, other), MEASURES[key].digits + 1
            low, high = found.interval
            ends = [f"{end:.{digits + (round(end, digits) == 0)}f}" for end in (low, high)]
            expected = f"{found.mean:+.{digits}f} [{', '.join(ends)}]".replace("-", "−")
            assert shown[name.upper()][2 * column] == expected


def test_clear_leads_are_marked_whichever_way_is_better(tmp_path):
    rows = [row("A"), row("B", level=3)]
    marked = best(difference_table(load_benchmark(write_benchmark(tmp_path, rows))))
    assert marked["B"][::2] == [True, True, True]  # PSNR, SSIM; FRC is lower and lower is better
    assert marked["A"][::2] == [False, False, False]


def test_cost_is_relative_to_the_fastest_method_but_bicubic(tmp_path):
    rows = [row("Bicubic"), row("Slow", seconds=[3.0] * 3), row("Fast", seconds=[1.2] * 3)]
    table = cost_table(load_benchmark(write_benchmark(tmp_path, rows)))
    assert "relative to Fast" in table.caption
    shown = texts(table)
    assert [shown[name][4] for name in ("Bicubic", "Slow", "Fast")] == ["0.417×", "2.50×", "1.00×"]
    assert shown["Fast"] == [
        "2.43 M",
        "1.21 M",
        "12.3 G",
        "1.20 ± 0.00",
        "1.00×",
        "812 MB",
        "29.8",
        "1,400 (stage1 500, stage3 900)",
    ]


def test_cost_that_is_not_known_is_a_dash(tmp_path):
    unknown = {"training": None, "parameters": None, "macs": None, "seconds": [], "peak_memory": None}
    unknown["learned_parameters"] = None
    table = cost_table(load_benchmark(write_benchmark(tmp_path, [row("A", **unknown)])))
    assert texts(table)["A"] == [DASH] * 8


def test_segmentation_has_the_hr_sections_as_reference(tmp_path):
    table = segmentation_table(load_benchmark(write_benchmark(tmp_path)), "MALA")
    assert [line.kind for line in table.lines] == ["method", "method", "oracle", "hr"]
    assert texts(table)["HR"] == ["1.250", "0.500", "1.750", "0.250", "0.4"]
    assert [marks[3] for marks in best(table).values()] == [False, True, False, False]


def test_splits_alone_are_not_judged_and_a_single_object_is_told(tmp_path):
    found = [0.0, 0.5]
    rows = [
        row(name, segmentation={"MALA": {**MALA, "voi_split": split}}) for name, split in zip("AB", found, strict=True)
    ]
    table = segmentation_table(load_benchmark(write_benchmark(tmp_path, rows)), "MALA")
    assert [marks[0] for marks in best(table).values()] == [False, False]
    notes = {line.name: line.cells[0].note for line in table.lines}
    assert notes["B"] is None and table.notes[notes["A"] - 1] == "Everything is one object."


def test_an_interval_that_ends_near_0_tells_on_which_side(tmp_path):
    steps = [[20.0, 20.0, 20.0], [20.0001, 20.0002, 20.0003]]
    rows = [row(name, scores={"psnr": psnr}) for name, psnr in zip("AB", steps, strict=True)]
    shown = texts(difference_table(load_benchmark(write_benchmark(tmp_path, rows))))
    assert shown["B"][0] == "+0.000 [0.0001, 0.0003]"


@pytest.mark.parametrize(
    ("value", "digits", "text"), [(-0.001, 2, "0.00"), (-1.5, 1, "−1.5"), (1234.5, 1, "1,234.5"), (None, 2, DASH)]
)
def test_numbers(value, digits, text):
    assert number(value, digits) == text


@pytest.mark.parametrize(("value", "text"), [(0.00512, "0.00512"), (9.999, "10.0"), (123.4, "123"), (0, "0.00")])
def test_significant_digits(value, text):
    assert significant(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (999, "999"), (1500, "1.50 k"), (2.43e6, "2.43 M"), (7e12, "7.00 T")]
)
def test_counts(value, text):
    assert engineering(value) == text


def test_headline_names_the_leaders_by_the_figures(tmp_path):
    sentence = headline(load_benchmark(write_benchmark(tmp_path)))
    psnr = {slug: scores(tmp_path, slug)["psnr"] for slug in ("bicubic", "gpemsr")}
    found = paired_difference(psnr["gpemsr"], psnr["bicubic"])
    low, high = found.interval
    assert f"GPEMSR leads in PSNR with {np.mean(psnr['gpemsr']):.2f} dB ({found.mean:.3f} dB above Bicubic" in sentence
    assert f"95 % interval {low:.3f} to {high:.3f})" in sentence
    assert "lowest for GPEMSR with MALA (0.240, 0.010 below Bicubic)" in sentence
    assert f"On {SECTIONS} sections" in sentence and "With HR codes" not in sentence


def test_headline_turns_with_the_figures(tmp_path):
    rows = [
        row("A", level=2, segmentation={"MALA": MALA}),
        row("B", level=1, segmentation={"MALA": {**MALA, "adapted_rand": 0.1}}),
    ]
    sentence = headline(load_benchmark(write_benchmark(tmp_path, rows)))
    assert "A leads in PSNR" in sentence and "lowest for B with MALA (0.100, 0.150 below A)" in sentence


def test_headline_does_not_call_chance_a_lead(tmp_path):
    rows = [row("A", scores={"psnr": [20.0, 22.0, 21.0]}), row("B", scores={"psnr": [21.0, 21.0, 20.9]})]
    assert "so not a clear lead" in headline(load_benchmark(write_benchmark(tmp_path, rows)))


def test_headline_of_one_section_has_no_interval(tmp_path):
    rows = [row("A", sections=1), row("B", level=1, sections=1)]
    sentence = headline(load_benchmark(write_benchmark(tmp_path, rows, sections=1)))
    assert "On 1 section, B leads in PSNR" in sentence and "one section, so no interval" in sentence


def test_headline_of_one_method_compares_nothing(tmp_path):
    assert "PSNR is known of A alone" in headline(load_benchmark(write_benchmark(tmp_path, [row("A")])))


def test_headline_without_any_figures(tmp_path):
    failed = [{**row("A"), "error": "out of memory", "scores": {}}]
    assert headline(load_benchmark(write_benchmark(tmp_path, failed))) == "No method was scored."


def test_membranes_have_a_column_where_they_were_scored(tmp_path):
    rows = [row(n, segmentation={"MALA": {**MALA, "membrane_f1": f}}) for n, f in (("A", 0.9), ("B", 0.8))]
    table = segmentation_table(load_benchmark(write_benchmark(tmp_path / "membranes", rows)), "MALA")
    column = table.head.index("Membrane F1 ↑") - 1
    assert [(line.cells[column].text, line.cells[column].best) for line in table.lines] == [
        ("0.900", True),
        ("0.800", False),
    ]
    assert "Membrane F1 ↑" not in segmentation_table(load_benchmark(write_benchmark(tmp_path / "neurons")), "MALA").head


def test_caption_names_the_sections_that_were_segmented(tmp_path):
    table = segmentation_table(load_benchmark(write_benchmark(tmp_path)), "MALA")
    assert "in 2 sections, tiny/00000001 to tiny/00000002" in table.caption
