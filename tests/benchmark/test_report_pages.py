"""The page and the Markdown file: their figures, escaped values, no network, and what may be absent."""

import base64
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import tifffile
from tiny_benchmark import row, three_rows, write_benchmark

from gpemsr.benchmark.report import write_report
from gpemsr.benchmark.report.report import render_markdown, render_page
from gpemsr.benchmark.report.results import load_benchmark
from gpemsr.benchmark.report.scores import Scores
from gpemsr.benchmark.report.text import escape
from gpemsr.metrics.measures import MEASURES

NASTY = '<script>alert("x")</script> | *bold* & `code`'


class Page(HTMLParser):
    """Tags, addresses, and the cells of the tables."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.addresses, self.rows, self.words = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for key, value in attributes if key in ("src", "href", "srcset", "action", "data")]
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_data(self, data):
        self.words.append(data)
        if self.rows and self.rows[-1] and self.tags[-1] in ("td", "th", "strong"):
            self.rows[-1][-1] = f"{self.rows[-1][-1]} {data.strip()}".strip()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A folder with its report."""
    folder = write_benchmark(tmp_path_factory.mktemp("report"))
    write_report(folder)
    return folder


def pages(folder) -> tuple[str, str]:
    """The page and the Markdown file without pictures."""
    scores = Scores(load_benchmark(folder))
    text = render_markdown(scores, [])
    return render_page(scores.benchmark, text), text


def test_figures_of_the_page_are_those_of_row_json(tmp_path):
    html, _ = pages(write_benchmark(tmp_path))
    shown = Page(html).rows
    for path in tmp_path.glob("rows/*/row.json"):
        given = json.loads(path.read_text())
        for name in ("psnr", "ssim", "frc_nm"):
            if values := given["scores"].get(name):
                digits = MEASURES[name].digits
                text = f"{np.mean(values):.{digits}f} ± {np.std(values, ddof=1):.{digits}f}"
                assert any(row[0].startswith(given["name"]) and text in row for row in shown)
        found = given["segmentation"]["MALA"]
        texts = [f"{found[key]:.3f}" for key in ("voi_split", "voi_merge", "voi", "adapted_rand")]
        assert any(row[0].startswith(given["name"]) and row[1:] == [*texts, "0.4"] for row in shown)


def test_provenance_is_stated(tmp_path):
    failed = {**row("Broken"), "error": "out of memory", "scores": {}}
    for text in pages(write_benchmark(tmp_path, [*three_rows(), failed])):
        for word in ("options/tiny.yml", "a desk", "34" * 32, "12" * 32, "out of memory", "no weights here", "2.0"):
            assert word in text


def test_page_needs_no_network_and_no_script(report):
    html = (report / "report.html").read_text()
    page = Page(html)
    assert "script" not in page.tags and "link" not in page.tags and "@import" not in html and "url(" not in html
    assert page.addresses and all(re.match(r"data:image/png;base64,|#", address) for address in page.addresses)
    assert not re.search(r"https?://|src=.//", html)


def test_values_are_escaped(tmp_path):
    rows = [row("A", error=NASTY, scores={}), row(NASTY, missing={"lpips": NASTY}), row("B")]
    html, text = pages(write_benchmark(tmp_path, rows, title=NASTY, command=NASTY, note=NASTY, hashes={NASTY: NASTY}))
    assert "script" not in Page(html).tags and NASTY in "".join(Page(html).words)
    assert "<script" not in text and "<b" not in text
    widths = [len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("|")]
    heads = [len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if re.match(r"\|(:?-+:?\|)+$", line)]
    assert set(widths) <= set(heads)


def test_markdown_shows_text_literally():
    assert escape("a|b *c*\n<d> [e](f)") == r"a\|b \*c\* &lt;d&gt; \[e\](f)"


def test_markdown_names_the_pictures_in_its_folder(report):
    named = re.findall(r"\]\((figures/[^)]+)\)", (report / "report.md").read_text())
    assert sorted(named) == sorted(f"figures/{path.name}" for path in (report / "figures").iterdir())
    assert "figures/section_median.png" in named and "figures/segmentation_mala.png" in named
    inside = re.findall(r'src="data:image/png;base64,([^"]+)"', (report / "report.html").read_text())
    assert [base64.b64decode(data) for data in inside] == [(report / name).read_bytes() for name in named]


def test_nothing_but_the_report_is_added(report):
    given = {"benchmark.json", "rows", "hr.tif", "lr.tif", "ids.tif"}
    added = {path.name for path in report.iterdir()} - given
    assert added == {"report.html", "report.md", "summary.csv", "sections.csv", "figures"}


def test_sections_that_may_not_be_shown_are_not_also_those_of_before(tmp_path):
    write_report(write_benchmark(tmp_path))
    common = json.loads((tmp_path / "benchmark.json").read_text())
    (tmp_path / "benchmark.json").write_text(json.dumps({**common, "show_sections": False}))
    write_report(tmp_path)
    drawn = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert drawn == {"measures", "psnr_seconds", "frc"}


def without(*names: str):
    def change(folder):
        for name in names:
            for path in folder.glob(name):
                path.unlink()

    return change


def with_stack_of_another_size(folder):
    tifffile.imwrite(folder / "rows" / "gpemsr" / "sr.tif", np.zeros((2, 5, 6), np.uint8), photometric="minisblack")


def few(sections: int) -> dict:
    """A benchmark of so many sections, not segmented."""
    rows = [row(name, sections=sections, segmentation={}) for name in ("Bicubic", "B")]
    return {"rows": rows, "sections": sections, "segmented": None, "segmenters": []}


FAILED = {**row("GPEMSR"), "error": "out of memory", "scores": {}, "segmentation": {}}
NOT_SEGMENTED = [{**content, "segmentation": {}} for content in three_rows()[:3]]


@pytest.mark.parametrize(
    ("arguments", "change", "pictures"),
    [
        ({}, without("rows/*/sr.tif"), {"measures", "psnr_seconds", "section_best", "segmentation_mala"}),
        ({}, without("rows/gpemsr/sr.tif"), {"measures", "frc", "section_worst", "segmentation_mala"}),
        ({}, without("hr.tif", "lr.tif"), {"measures", "psnr_seconds"}),
        ({}, with_stack_of_another_size, {"section_best"}),
        ({}, without("rows/*/*.json"), set()),
        ({"rows": [row("Bicubic"), FAILED]}, None, {"measures", "section_median"}),
        ({"rows": [FAILED]}, None, set()),
        (few(1), None, {"section_best", "frc"}),
        (few(2), None, {"section_worst"}),
        ({"rows": [row("A")]}, None, {"measures", "section_median"}),
        ({"rows": NOT_SEGMENTED, "ids": None, "segmented": None, "segmenters": []}, None, {"section_best"}),
        (
            {"ids": None, "lr": None, "pixel_size_nm": None, "note": None, "machine": None, "command": None},
            None,
            {"section_best", "segmentation_mala"},
        ),
    ],
    ids=[
        "no sr.tif",
        "a row without sr.tif",
        "no hr.tif",
        "sr.tif of another size",
        "no row.json",
        "a failed row",
        "all failed",
        "one section",
        "two sections",
        "one row",
        "no segmentation",
        "ids, lr and pixel size null",
    ],
)
def test_what_is_absent_is_left_out(tmp_path, arguments, change, pictures):
    write_benchmark(tmp_path, **arguments)
    if change:
        change(tmp_path)
    write_report(tmp_path)
    drawn = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert pictures <= drawn and (pictures or not drawn)
    page = Page((tmp_path / "report.html").read_text())
    assert page.tags.count("img") == len(drawn)
    for content in arguments.get("rows") or three_rows():
        assert content["name"] in "".join(page.words) or change
