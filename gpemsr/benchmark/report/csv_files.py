"""The figures as CSV: one line a row, and one line a row and section; numbers are not rounded."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from gpemsr.benchmark.report.results import Benchmark, Row, Segmentation
from gpemsr.benchmark.report.summary import difference, seconds_ratio, summarise
from gpemsr.files import replaced
from gpemsr.metrics.measures import MEASURES


def write_csv_files(benchmark: Benchmark) -> None:
    """Write ``summary.csv`` and ``sections.csv`` into the benchmark's folder."""
    write_lines(benchmark.folder / "summary.csv", [summary_line(benchmark, row) for row in benchmark.rows])
    write_lines(
        benchmark.folder / "sections.csv",
        [line for row in benchmark.scored for line in section_lines(benchmark, row)],
        ["slug", "name", "section", "seconds", *MEASURES],
    )


def write_lines(path: Path, lines: Sequence[Mapping], head: Sequence[str] | None = None) -> None:
    """Write lines that have the same keys; None is an empty field."""
    with replaced(path) as file, file.open("w", newline="", encoding="utf-8") as sink:
        writer = csv.DictWriter(sink, head or (list(lines[0]) if lines else ["slug"]))
        writer.writeheader()
        writer.writerows(lines)


def summary_line(benchmark: Benchmark, row: Row) -> dict:
    """Everything known of one row. Differences are those of methods from the best other method."""
    seconds = summarise(row.seconds)
    line: dict = {
        "slug": row.slug,
        "name": row.name,
        "kind": row.kind,
        "error": row.error,
        "parameters": row.parameters,
        "learned_parameters": row.learned_parameters,
        "macs": row.macs,
        "seconds_mean": seconds and seconds.mean,
        "seconds_std": seconds and seconds.std,
        "seconds_ratio": seconds_ratio(benchmark, row) if row.error is None else None,
        "peak_memory": row.peak_memory,
        "training_core_minutes": row.training and row.training.core_minutes,
        "training_iterations": row.training and sum(row.training.iterations.values()),
    }
    for name in MEASURES:
        summary = None if row.error is not None else summarise(row.values(name))
        gap = difference(row, benchmark.methods, name) if row in benchmark.methods else None
        line[f"{name}_mean"] = summary and summary.mean
        line[f"{name}_std"] = summary and summary.std
        line[f"{name}_sections"] = summary and summary.count
        line[f"{name}_difference"] = gap and gap.mean
        line[f"{name}_difference_low"] = gap and gap.low
        line[f"{name}_difference_high"] = gap and gap.high
        line[f"{name}_difference_from"] = gap and gap.rival.slug
    for segmenter in benchmark.segmenters:
        scores = row.segmentation.get(segmenter, Segmentation())
        for key, value in scores.model_dump().items():
            line[f"{segmenter}_{key}"] = value
    return line


def section_lines(benchmark: Benchmark, row: Row) -> list[dict]:
    """The figures of one row, section by section."""
    columns = {"seconds": row.seconds, **{name: row.scores.get(name) or [] for name in MEASURES}}
    return [
        {
            "slug": row.slug,
            "name": row.name,
            "section": section,
            **{name: values[index] if values else None for name, values in columns.items()},
        }
        for index, section in enumerate(benchmark.sections)
    ]
