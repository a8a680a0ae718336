"""Reading what a benchmark left."""

import json

import pytest
from tiny_benchmark import row, three_rows, write_benchmark

from gpemsr.benchmark.report.results import load_benchmark
from gpemsr.errors import InputError


def test_rows_keep_the_order_of_the_option_file_and_their_kinds(tmp_path):
    found = load_benchmark(write_benchmark(tmp_path))
    assert [r.slug for r in found.rows] == ["bicubic", "gpemsr", "with_hr_codes", "hr"]
    assert [r.slug for r in found.finished("method")] == ["bicubic", "gpemsr"]
    assert [r.slug for r in found.finished("oracle")] == ["with_hr_codes"]
    assert [r.slug for r in found.finished("hr")] == ["hr"]


def test_row_that_was_not_written_fails_alone(tmp_path):
    write_benchmark(tmp_path, rows=three_rows())
    (tmp_path / "rows" / "gpemsr" / "row.json").unlink()
    found = load_benchmark(tmp_path)
    assert [r.slug for r in found.failed] == ["gpemsr"]
    assert "row.json" in found.failed[0].error
    assert [r.slug for r in found.finished("method")] == ["bicubic"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"kind": "best"}, "kind"),
        ({"seconds": [0.1]}, "1 values of seconds, 3 sections"),
        ({"scores": {"psnr": [1.0, 2.0]}}, "2 values of psnr, 3 sections"),
    ],
)
def test_row_that_is_not_valid_fails_alone_and_says_why(tmp_path, change, expected):
    write_benchmark(tmp_path, rows=[row("A"), row("B")])
    path = tmp_path / "rows" / "b" / "row.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    found = load_benchmark(tmp_path)
    assert [r.slug for r in found.finished("method")] == ["a"]
    assert expected in found.failed[0].error


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "No such file"),
        ("{", "benchmark.json"),
        ("[]", "object"),
        ("{}", "sections"),
        ('{"sections": [], "rows": []}', "name"),
    ],
)
def test_folder_without_a_benchmark_is_refused_in_one_line(tmp_path, content, expected):
    if content is not None:
        (tmp_path / "benchmark.json").write_text(content)
    with pytest.raises(InputError, match=expected) as error:
        load_benchmark(tmp_path)
    assert "\n" not in str(error.value)
