"""Writing the report of a benchmark into its folder: figures, a Markdown file, a page that holds both, CSV files."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from markdown import Markdown
from markupsafe import Markup
from matplotlib.figure import Figure

from gpemsr.benchmark.options import slug
from gpemsr.benchmark.report.plots import PLOTS
from gpemsr.benchmark.report.results import Benchmark, load_benchmark
from gpemsr.benchmark.report.scores import Scores, write_csv_files
from gpemsr.benchmark.report.sections import choose_sections, plot_crops, plot_overlays
from gpemsr.benchmark.report.tables import tables
from gpemsr.benchmark.report.text import DASH, caption, escape, template, to_markdown
from gpemsr.files import replaced


class Picture(NamedTuple):
    """A figure, the name of its file in ``figures/``, and its caption."""

    name: str
    title: str
    caption: str
    figure: Figure


def write_report(folder: Path) -> None:
    """Write ``report.html``, ``report.md``, ``figures/*.png``, ``summary.csv`` and ``sections.csv``.

    Args:
        folder: of a benchmark, with ``benchmark.json`` and ``rows/<slug>/row.json``. What it lacks beyond the first
            (rows, images, segmentations) is left out of the report; rows without figures are named with their reason.

    Raises:
        InputError: ``benchmark.json`` is absent or not valid, or a file cannot be written.
    """
    scores = Scores(load_benchmark(folder))
    write_csv_files(scores)
    pictures = list(draw_pictures(scores))
    with replaced(folder / "figures") as figures:
        figures.mkdir()
        for picture in pictures:
            picture.figure.savefig(figures / picture.name)
    text = render_markdown(scores, pictures)
    for name, content in {"report.md": text, "report.html": render_page(scores.benchmark, text)}.items():
        with replaced(folder / name) as file:
            file.write_text(content, encoding="utf-8")


def draw_pictures(scores: Scores) -> Iterator[Picture]:
    """Draw whatever the benchmark's folder has the data for and its options allow, in the report's order."""
    benchmark = scores.benchmark
    for name, (title, plot) in PLOTS.items():
        if figure := plot(scores):
            yield Picture(f"{name}.png", title, caption(name), figure)
    hr = benchmark.stack(benchmark.hr)
    if hr is not None and benchmark.show_sections:
        yield from _crops(scores, hr, benchmark.super_resolved())
        yield from _overlays(benchmark, hr)


def _crops(scores: Scores, hr: np.ndarray, stacks: Mapping[str, np.ndarray]) -> Iterator[Picture]:
    benchmark = scores.benchmark
    lr = benchmark.stack(benchmark.lr)
    chosen, rule = choose_sections(scores)
    for rank, index in chosen.items():
        images = {name: stack[index] for name, stack in stacks.items()}
        figure = plot_crops(scores, index, hr[index], None if lr is None else lr[index], images)
        text = caption("crops", section=benchmark.sections[index], rank=rank, rule=rule)
        yield Picture(f"section_{rank}.png", f"{rank.capitalize()} section", text, figure)


def _overlays(benchmark: Benchmark, hr: np.ndarray) -> Iterator[Picture]:
    """The middle one of the sections that were segmented."""
    first, stop = benchmark.segmented or (0, len(hr))
    middle = (stop - first) // 2
    for segmenter in benchmark.segmenters:
        name = f"segmentation_{slug(segmenter)}"
        rows = benchmark.finished("hr", "method", "oracle")
        found = {row.slug: benchmark.stack("rows", row.slug, f"{name}.tif") for row in rows}
        labels = {key: stack[middle] for key, stack in found.items() if stack is not None}
        if not labels:
            continue
        if (ids := benchmark.stack(benchmark.ids)) is not None:
            labels[""] = ids[middle]
        text = caption("overlays", section=benchmark.sections[first + middle], segmenter=segmenter)
        figure = plot_overlays(benchmark, segmenter, hr[first + middle], labels)
        yield Picture(f"{name}.png", f"Segmented by {segmenter}", text, figure)


def render_markdown(scores: Scores, pictures: list[Picture]) -> str:
    """The report as Markdown; every value is escaped."""
    benchmark = scores.benchmark
    run = {
        "Benchmark": benchmark.name,
        "Pixel of HR (nm)": benchmark.pixel_size_nm,
        "Section spacing (nm)": benchmark.section_nm,
        "Machine": benchmark.machine,
        "Threads": benchmark.threads,
        **benchmark.versions,
        "Data": benchmark.note,
    }
    rows = [(row.name, row.options, row.weights or DASH) for row in benchmark.rows if row.options]
    hashes = benchmark.hashes | {file: value for row in benchmark.rows for file, value in row.hashes.items()}
    return template("report.md.jinja").render(
        benchmark=benchmark,
        tables=tables(scores),
        pictures=pictures,
        run=_facts(((key, value) for key, value in run.items() if value), ("", "")),
        rows=_facts(rows, ("Row", "Options", "Weights")) if rows else None,
        hashes=_facts(hashes.items(), ("File", "SHA-256")) if hashes else None,
    )


def _facts(lines: Iterable[Sequence[object]], head: Sequence[str]) -> str:
    """A Markdown table of plain text."""
    return to_markdown(pd.DataFrame([[escape(text) for text in line] for line in lines], columns=head), "left")


def render_page(benchmark: Benchmark, text: str) -> str:
    """The Markdown as one HTML page that holds the figures of the benchmark's folder."""
    converter = Markdown(extensions=["tables", "sane_lists"])
    converter.ESCAPED_CHARS.append("~")

    def embedded(match: re.Match[str]) -> str:
        content = base64.b64encode((benchmark.folder / match[1]).read_bytes()).decode()
        return f'src="data:image/png;base64,{content}"'

    body = re.sub(r'src="(figures/\w+\.png)"', embedded, converter.convert(text))
    return template("report.html.jinja").render(benchmark=benchmark, body=Markup(body))
