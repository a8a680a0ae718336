"""The tables of the report: frames of Markdown cells, with captions and footnotes."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pandas as pd

from gpemsr.benchmark.report.results import Benchmark, Row
from gpemsr.benchmark.report.scores import Scores
from gpemsr.metrics.measures import MEASURES, Measure

DASH = "–"
COMPARED = ("psnr", "ssim", "frc_nm")  # measures whose differences the report shows; the CSV file has all
SEGMENTATION = {
    "voi_split": "VOI split ↓",
    "voi_merge": "VOI merge ↓",
    "voi": "VOI sum ↓",
    "adapted_rand": "Adapted Rand ↓",
    "membrane_f1": "Membrane F1 ↑",
}
JUDGED = ("voi", "adapted_rand", "membrane_f1")  # splits and merges alone are best where all or nothing is merged
SEGMENTATION_DIGITS = 3
MARKDOWN_SIGNS = re.compile(r"([\\`*_\[\]|#~])")


def escape(value: object) -> str:
    """Text as one line of Markdown that shows it literally."""
    return html.escape(MARKDOWN_SIGNS.sub(r"\\\1", " ".join(str(value).split())), quote=False)


def to_markdown(frame: pd.DataFrame, left: bool = False) -> str:
    """A Markdown table of cells that are Markdown already; columns but the first are aligned right unless ``left``."""
    align = ["left"] + ["left" if left else "right"] * (frame.shape[1] - 1)
    return frame.to_markdown(index=False, disable_numparse=True, colalign=align)


@dataclass
class Table:
    """A table with one line for each row of the benchmark.

    Attributes:
        caption: how to read it.
        frame: Markdown cells; the first column is ``Method``.
        notes: footnotes.
    """

    title: str
    caption: str
    frame: pd.DataFrame = field(default_factory=pd.DataFrame)
    notes: list[str] = field(default_factory=list)

    def cell(self, text: str, best: bool = False, note: str | None = None) -> str:
        """A Markdown cell: bold where it is the best, with a number that points to a footnote."""
        shown = f"**{escape(text)}**" if best else escape(text)
        if note is None:
            return shown
        if note not in self.notes:
            self.notes.append(note)
        return f"{shown}<sup>{self.notes.index(note) + 1}</sup>"

    @property
    def markdown(self) -> str:
        """The table itself."""
        return to_markdown(self.frame)


def number(value: float | None, digits: int) -> str:
    """A number with a true minus sign and thousands separated; a dash for None and NaN."""
    if value is None or pd.isna(value):
        return DASH
    text = f"{value:,.{digits}f}"
    return text.replace("-", "−") if float(text.replace(",", "")) else text.lstrip("-")


def significant(value: float) -> str:
    """Three significant digits, without an exponent."""
    return number(value, _decimals(value))


def engineering(value: float | None) -> str:
    """A count with three significant digits and k, M, G or T."""
    for factor, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value is not None and value >= factor:
            return f"{significant(value / factor)} {letter}"
    return number(value, 0)


def spread(mean: float, deviation: float, digits: int) -> str:
    """Mean ± standard deviation; the mean alone of a single section."""
    return number(mean, digits) + ("" if pd.isna(deviation) else f" ± {number(deviation, digits)}")


def heading(measure: Measure) -> str:
    """Heading of a measure's column."""
    unit = f" ({measure.unit})" if measure.unit else ""
    return f"{measure.label}{unit} {'↑' if measure.higher_is_better else '↓'}"


def quality_table(scores: Scores) -> Table:
    """Mean and standard deviation over the sections of every measure."""
    table = Table(
        "Image quality",
        "Mean ± standard deviation over the sections. ↑ higher is better, ↓ lower is better; the best method is bold.",
    )
    rows, sections = scores.benchmark.scored, len(scores.benchmark.sections)
    columns = {"Method": [escape(row.label) for row in rows]}
    for name, measure in MEASURES.items():
        figures = scores.of(name).agg(["mean", "std", "count"]).T
        best = scores.best(name) if len(scores.methods) > 1 else None
        best_text = number(figures["mean"][best], measure.digits) if best else None
        cells = columns[heading(measure)] = []
        for row in rows:
            mean, deviation, count = figures.loc[row.slug]
            if count == 0:
                reason = row.missing.get(name, "not measured").rstrip(".")
                cells.append(table.cell(DASH, note=f"{measure.label}: {reason}."))
                continue
            is_best = row.kind == "method" and number(mean, measure.digits) == best_text  # equals are all marked
            note = f"Of {count:.0f} of {sections} sections." if count < sections else None
            cells.append(table.cell(spread(mean, deviation, measure.digits), is_best, note))
    table.frame = pd.DataFrame(columns)
    return table


def difference_table(scores: Scores) -> Table:
    """Every method against the best other one."""
    table = Table(
        "Paired differences",
        "Each method against the best other method, section by section: mean difference and its 95 % bootstrap "
        "interval. Bold where the interval leaves out 0 in the method's favour. Oracles are left out.",
    )
    names = {row.slug: row.name for row in scores.benchmark.methods}
    lines = []
    for slug, method in names.items():
        cells = [escape(method)]
        for name in COMPARED:
            gap = scores.differences.get((slug, name))
            if gap is None:
                cells += [DASH, DASH]
                continue
            digits = MEASURES[name].digits + 1  # one more than of the measure, for methods that are close
            text, clear = ("+" if gap.mean > 0 else "") + number(gap.mean, digits), False
            if gap.low is not None and gap.high is not None:
                text += f" [{_bound(gap.low, digits)}, {_bound(gap.high, digits)}]"
                clear = gap.low > 0 if MEASURES[name].higher_is_better else gap.high < 0
            cells += [table.cell(text, clear), escape(names[gap.baseline])]
        lines.append(cells)
    head = ["Method", *(part for name in COMPARED for part in (heading(MEASURES[name]), "against"))]
    table.frame = pd.DataFrame(lines, columns=head)
    return table


def cost_table(scores: Scores) -> Table:
    """What each row takes to run and took to train."""
    fastest = scores.fastest()
    table = Table(
        "Cost",
        "Learned parameters are those that are not frozen. Multiply-adds (MACs) and seconds are of one section, mean ± "
        "standard deviation over the sections; memory is the peak of the row's process, or of the GPU. Seconds are "
        "wall-clock time, of one row after the other: on a machine with other work they are rougher than their "
        "deviation shows. GPEMSR encodes each section once for all windows that it is in; the others see window after "
        "window, recurrent ones too. Iterations are those of training."
        + (f" Ratio: seconds relative to {fastest.name}." if fastest else ""),
    )
    seconds = scores.of("seconds").agg(["mean", "std"]).T
    lines = []
    for row in scores.benchmark.scored:
        mean, deviation = seconds.loc[row.slug]
        ratio = scores.seconds_ratio(row)
        cells = {
            "Method": row.label,
            "Parameters": engineering(row.parameters),
            "Learned": engineering(row.learned_parameters),
            "MACs": engineering(row.macs),
            "Seconds": spread(mean, deviation, _decimals(mean)),
            "Ratio": DASH if pd.isna(ratio) else f"{significant(ratio)}×",
            "Memory": DASH if row.peak_memory is None else f"{number(row.peak_memory / 1e6, 0)} MB",
            "Training (core-minutes)": number(row.training.core_minutes if row.training else None, 1),
            "Iterations": _iterations(row),
        }
        lines.append({name: escape(text) for name, text in cells.items()})
    table.frame = pd.DataFrame(lines)
    return table


def _iterations(row: Row) -> str:
    stages = row.training.iterations if row.training else {}
    named = ", ".join(f"{stage} {number(count, 0)}" for stage, count in stages.items())
    return (number(sum(stages.values()), 0) + (f" ({named})" if len(stages) > 1 else "")) if stages else DASH


def segmentation_table(benchmark: Benchmark, segmenter: str) -> Table | None:
    """How well neurons or membranes are found in each row's sections; None if nothing was segmented."""
    rows = [row for row in benchmark.scored + benchmark.references if segmenter in row.segmentation]
    if not rows:
        return None
    table = Table(
        f"Segmentation with {segmenter}",
        f"Difference of what {segmenter} found{_segmented_sections(benchmark)} from the annotation: variation of "
        "information (VOI, bits) in splits and merges, and adapted Rand error. For each row the agglomeration has the "
        f"threshold with the lowest VOI on this annotation. {segmenter} was trained on HR sections: a row is judged by "
        "how well that network understands it. ↓ lower is better; the best method is bold, the HR sections are the "
        "reference.",
    )
    figures = pd.DataFrame([row.segmentation[segmenter].model_dump() for row in rows], dtype=float)
    methods = [row.kind == "method" for row in rows]
    columns = {"Method": [escape(row.label) for row in rows]}
    for key, title in SEGMENTATION.items():
        if figures[key].isna().all():
            continue
        shown = [number(value, SEGMENTATION_DIGITS) for value in figures[key]]
        compared = figures[key][methods]
        best = compared.max() if key == "membrane_f1" else compared.min()
        marked = number(best, SEGMENTATION_DIGITS) if key in JUDGED and sum(methods) > 1 else None
        whole = ["Everything is one object." if row.segmentation[segmenter].one_object else None for row in rows]
        notes = whole if key == "voi_split" else [None] * len(rows)
        cells = zip(shown, methods, notes, strict=True)
        columns[title] = [table.cell(text, method and text == marked, note) for text, method, note in cells]
    columns["Threshold"] = [DASH if pd.isna(value) else f"{value:g}" for value in figures["threshold"]]
    table.frame = pd.DataFrame(columns)
    return table


def _segmented_sections(benchmark: Benchmark) -> str:
    names = benchmark.sections[slice(*benchmark.segmented)] if benchmark.segmented else []
    return f" in {len(names)} sections, {names[0]} to {names[-1]}," if len(names) > 1 else ""


def tables(scores: Scores) -> list[Table]:
    """All tables, in their order; without those that have nothing to show."""
    benchmark = scores.benchmark
    made = [quality_table(scores), cost_table(scores)] if benchmark.scored else []
    if len(scores.methods) > 1:
        made.insert(1, difference_table(scores))
    return made + [t for segmenter in benchmark.segmenters if (t := segmentation_table(benchmark, segmenter))]


def facts(lines: Iterable[Sequence[object]], head: Sequence[str]) -> str:
    """A Markdown table of plain text."""
    return to_markdown(pd.DataFrame([[escape(cell) for cell in line] for line in lines], columns=head), left=True)


def _bound(value: float, digits: int) -> str:
    """An end of an interval, with one digit more where its side of 0 would not be visible."""
    return number(value, digits + (round(value, digits) == 0))


def _decimals(value: float) -> int:
    """Decimals that show three significant digits."""
    return 2 if not value or pd.isna(value) else max(0, 2 - int(f"{value:.2e}".partition("e")[2]))
