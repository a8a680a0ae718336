"""The tables of the report: frames of Markdown cells, with captions and footnotes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from gpemsr.benchmark.report.results import Benchmark, Row
from gpemsr.benchmark.report.scores import Scores
from gpemsr.benchmark.report.text import DASH, caption, engineering, escape, heading, number, spread, to_markdown
from gpemsr.metrics.measures import MEASURES, SEGMENTATION

COMPARED = ("psnr", "ssim", "frc_nm")  # measures whose differences the report shows; the CSV file has all
UNJUDGED = ("voi_split", "voi_merge")  # one of them is best where all is merged, or nothing


def cell(text: str, best: bool = False) -> str:
    """A Markdown cell, bold where it is the best."""
    return f"**{escape(text)}**" if best else escape(text)


@dataclass
class Table:
    """A table with a line for each row of the benchmark."""

    title: str
    caption: str
    """How to read it."""
    frame: pd.DataFrame
    """Markdown cells; the first column is ``Method``."""
    notes: Sequence[str] = field(default_factory=list)
    """What is to be known of some of the cells, below the table."""

    @property
    def markdown(self) -> str:
        """The table itself."""
        return to_markdown(self.frame, "right")


def quality_table(scores: Scores) -> Table:
    """Mean and standard deviation over the sections of every measure."""
    rows, sections = scores.benchmark.scored, len(scores.benchmark.sections)
    columns = {"Method": [escape(row.label) for row in rows]}
    notes: dict[str, None] = {}
    for name, measure in MEASURES.items():
        figures = scores.of(name).agg(["mean", "std", "count"]).T
        best = scores.best(name, scores.methods) if len(scores.methods) > 1 else None
        best_text = number(figures["mean"][best], measure.digits) if best else None
        cells = columns[heading(measure)] = []
        for row in rows:
            mean, deviation, count = figures.loc[row.slug]
            is_best = row.kind == "method" and number(mean, measure.digits) == best_text  # equals are all marked
            cells.append(cell(spread(mean, deviation, measure.digits), is_best))
            if count == 0:
                notes[f"{measure.label}: {row.missing.get(name, 'not measured').rstrip('.')}."] = None
            elif count < sections:
                notes[f"{measure.label} of {row.label}: {count:.0f} of {sections} sections."] = None
    return Table("Image quality", caption("quality"), pd.DataFrame(columns), list(notes))


def difference_table(scores: Scores) -> Table:
    """Every method against the best other one."""
    names = {row.slug: row.name for row in scores.benchmark.finished("method")}
    columns = {"Method": [escape(name) for name in names.values()]}
    for measure in COMPARED:
        gaps = [scores.differences.get((slug, measure)) for slug in names]
        digits, sign = MEASURES[measure].digits + 1, 1 if MEASURES[measure].higher_is_better else -1
        cells, against = columns[heading(MEASURES[measure])], columns[f"against ({measure})"] = [], []
        for gap in gaps:
            text, clear = DASH, False
            if gap is not None:
                text = ("+" if gap.mean > 0 else "") + number(gap.mean, digits)
            if gap is not None and gap.low is not None and gap.high is not None:
                text += f" [{number(gap.low, digits)}, {number(gap.high, digits)}]"
                clear = min(sign * gap.low, sign * gap.high) > 0
            cells.append(cell(text, clear))
            against.append(escape(names[gap.baseline]) if gap else DASH)
    frame = pd.DataFrame(columns).rename(columns=lambda name: "against" if name.startswith("against") else name)
    return Table("Paired differences", caption("differences"), frame)


def cost_table(scores: Scores) -> Table:
    """What each row takes to run and took to train."""
    seconds = scores.of("seconds").agg(["mean", "std"])
    lines = [
        {
            "Method": row.label,
            "Parameters": engineering(row.parameters),
            "Learned": engineering(row.learned_parameters),
            "MACs": engineering(row.macs),
            "Seconds": spread(seconds[row.slug]["mean"], seconds[row.slug]["std"], 3),
            "Memory": DASH if row.peak_memory is None else f"{number(row.peak_memory / 1e6, 0)} MB",
            "Training (core-minutes)": number(row.training.core_minutes if row.training else None, 1),
            "Iterations": _iterations(row),
        }
        for row in scores.benchmark.scored
    ]
    return Table("Cost", caption("cost"), pd.DataFrame(lines).map(escape))


def _iterations(row: Row) -> str:
    stages = row.training.iterations if row.training else {}
    named = ", ".join(f"{stage} {number(count, 0)}" for stage, count in stages.items())
    return (number(sum(stages.values()), 0) + (f" ({named})" if len(stages) > 1 else "")) if stages else DASH


def segmentation_table(benchmark: Benchmark, segmenter: str) -> Table | None:
    """How well neurons or membranes are found in each row's sections; None if nothing was segmented."""
    rows = [row for row in benchmark.finished("method", "oracle", "hr") if segmenter in row.segmentation]
    if not rows:
        return None
    figures = pd.DataFrame([row.segmentation[segmenter] for row in rows], dtype=float)
    methods = [row.kind == "method" for row in rows]
    columns = {"Method": [escape(row.label) for row in rows]}
    for key, measure in SEGMENTATION.items():
        if key in figures and figures[key].notna().any():
            shown = [number(value, measure.digits) for value in figures[key]]
            compared = figures[key][methods] if key not in UNJUDGED and sum(methods) > 1 else pd.Series(dtype=float)
            best = number(compared.max() if measure.higher_is_better else compared.min(), measure.digits)
            marks = [method and text == best != DASH for text, method in zip(shown, methods, strict=True)]
            columns[heading(measure)] = [cell(text, mark) for text, mark in zip(shown, marks, strict=True)]
    columns["Threshold"] = [DASH if pd.isna(value) else f"{value:g}" for value in figures["threshold"]]
    sections = benchmark.sections[slice(*benchmark.segmented)] if benchmark.segmented else []
    text = caption("segmentation", segmenter=segmenter, sections=sections)
    return Table(f"Segmentation with {segmenter}", text, pd.DataFrame(columns))


def tables(scores: Scores) -> list[Table]:
    """All tables, in their order; without those that have nothing to show."""
    benchmark = scores.benchmark
    made = [quality_table(scores), cost_table(scores)] if benchmark.scored else []
    if len(scores.methods) > 1:
        made.insert(1, difference_table(scores))
    return made + [t for segmenter in benchmark.segmenters if (t := segmentation_table(benchmark, segmenter))]
