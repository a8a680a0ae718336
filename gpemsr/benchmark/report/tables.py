"""The tables of the report as plain data, which the page and the Markdown file both show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gpemsr.benchmark.report.results import Benchmark, Row
from gpemsr.benchmark.report.summary import Summary, best_row, difference, reference_row, seconds_ratio, summarise
from gpemsr.metrics.measures import MEASURES, Measure

DASH = "–"
COMPARED = ("psnr", "ssim", "frc_nm")  # measures whose differences the report shows; the CSV has all
SEGMENTATION = {
    "voi_split": "VOI split ↓",
    "voi_merge": "VOI merge ↓",
    "voi": "VOI sum ↓",
    "adapted_rand": "Adapted Rand ↓",
    "membrane_f1": "Membrane F1 ↑",
}
JUDGED = ("voi", "adapted_rand", "membrane_f1")  # splits and merges alone are best where all or nothing is merged
SEGMENTATION_DIGITS = 3


@dataclass(frozen=True)
class Cell:
    """One cell: its text, whether it is the best of its column, and the footnote it points to.

    Attributes:
        words: whether it is text that may be wrapped.
    """

    text: str
    best: bool = False
    note: int | None = None
    words: bool = False

    @property
    def figure(self) -> str:
        """The text without its detail."""
        return self.text.removesuffix(self.detail).rstrip()

    @property
    def detail(self) -> str:
        """Spread, interval or parts, which may stand below the figure."""
        start = min((at for sign in "±[(" if (at := self.text.find(f" {sign}")) >= 0), default=len(self.text))
        return "" if self.words else self.text[start + 1 :]


@dataclass(frozen=True)
class Line:
    """One line of a table; ``kind`` is that of its row."""

    name: str
    kind: str
    cells: list[Cell]


@dataclass
class Table:
    """A table, its footnotes and a caption that says how to read it."""

    title: str
    caption: str
    head: list[str]
    lines: list[Line] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> int:
        """Number of a footnote, which is added if it is new."""
        if text not in self.notes:
            self.notes.append(text)
        return self.notes.index(text) + 1


def number(value: float | None, digits: int) -> str:
    """A number with a true minus sign and thousands apart; a dash for None."""
    if value is None:
        return DASH
    text = f"{value:,.{digits}f}"
    return text.replace("-", "−") if float(text.replace(",", "")) else text.lstrip("-")


def column(measure: Measure) -> str:
    """Heading of a measure's column."""
    unit = f" ({measure.unit})" if measure.unit else ""
    return f"{measure.label}{unit} {'↑' if measure.higher_is_better else '↓'}"


def quality_table(benchmark: Benchmark) -> Table:
    """Mean and spread over the sections of every measure."""
    table = Table(
        "Image quality",
        "Mean ± standard deviation over the sections. ↑ higher is better, ↓ lower is better; the best method is bold.",
        ["Method", *(column(measure) for measure in MEASURES.values())],
    )
    best = {name: _best_text(benchmark.methods, name) for name in MEASURES}
    for row in benchmark.scored:
        cells = []
        for name, measure in MEASURES.items():
            summary = summarise(row.values(name))
            if summary is None:
                note = table.note(f"{measure.label}: {row.missing.get(name, 'not measured')}.".replace("..", "."))
                cells.append(Cell(DASH, note=note))
                continue
            text = f"{number(summary.mean, measure.digits)} ± {number(summary.std, measure.digits)}"
            text = text if summary.std is not None else number(summary.mean, measure.digits)
            part = summary.count < len(benchmark.sections)
            note_of_part = f"Of {summary.count} of {len(benchmark.sections)} sections."
            is_best = row.kind == "method" and number(summary.mean, measure.digits) == best[name]
            cells.append(Cell(text, is_best, table.note(note_of_part) if part else None))
        table.lines.append(Line(row.name, row.kind, cells))
    return table


def _best_text(methods: Sequence[Row], measure: str) -> str | None:
    """The best mean as it is shown, so that equals are all marked; None with a single method."""
    row = best_row(methods, measure)
    summary = summarise(row.values(measure)) if row else None
    return number(summary.mean, MEASURES[measure].digits) if summary and len(methods) > 1 else None


def difference_table(benchmark: Benchmark) -> Table:
    """Every method against the best other one."""
    names = [name for name in COMPARED if name in MEASURES]
    table = Table(
        "Paired differences",
        "Each method against the best other method, section by section: mean difference and its 95 % bootstrap "
        "interval. Bold where the interval leaves out 0 in the method's favour. Oracles are left out.",
        ["Method", *(part for name in names for part in (column(MEASURES[name]), "against"))],
    )
    for row in benchmark.methods:
        cells = []
        for name in names:
            measure = MEASURES[name]
            gap = difference(row, benchmark.methods, name)
            if gap is None:
                cells += [Cell(DASH), Cell(DASH)]
                continue
            digits = difference_digits(measure)
            text = ("+" if gap.mean > 0 else "") + number(gap.mean, digits)
            if gap.low is not None and gap.high is not None:
                text += f" [{bound(gap.low, digits)}, {bound(gap.high, digits)}]"
            better = gap.clear and (gap.mean > 0) == measure.higher_is_better
            cells += [Cell(text, better), Cell(gap.rival.name, words=True)]
        table.lines.append(Line(row.name, row.kind, cells))
    return table


def difference_digits(measure: Measure) -> int:
    """Decimals of a difference: one more than of the measure, for methods that are close."""
    return measure.digits + 1


def bound(value: float, digits: int) -> str:
    """An end of an interval, with one digit more where it would not tell on which side of 0 it lies."""
    return number(value, digits + (round(value, digits) == 0))


def cost_table(benchmark: Benchmark) -> Table:
    """What each row needs to run and to be trained."""
    reference = reference_row(benchmark)
    table = Table(
        "Cost",
        "Learned parameters are those that are not frozen. Multiply-adds (MACs) and seconds are of one section, mean ± "
        "standard deviation over the sections; memory is what is taken at most beyond the loaded network. Seconds are "
        "by the clock, of one row after the other: on a machine with other work they are rougher than their deviation "
        "tells. GPEMSR encodes each section once for all windows that it is in; the others see window after window, "
        "recurrent ones too. Iterations are those of training."
        + (f" Ratio: seconds relative to {reference.name}." if reference else ""),
        [
            "Method",
            "Parameters",
            "Learned",
            "MACs",
            "Seconds",
            "Ratio",
            "Memory",
            "Training (core-minutes)",
            "Iterations",
        ],
    )
    for row in benchmark.scored:
        ratio = seconds_ratio(benchmark, row)
        iterations = row.training.iterations if row.training else {}
        minutes = row.training.core_minutes if row.training else None
        stages = ", ".join(f"{stage} {number(count, 0)}" for stage, count in iterations.items())
        texts = [
            engineering(row.parameters),
            engineering(row.learned_parameters),
            engineering(row.macs),
            seconds_text(summarise(row.seconds)),
            DASH if ratio is None else f"{significant(ratio)}×",
            DASH if row.peak_memory is None else f"{number(row.peak_memory / 1e6, 0)} MB",
            number(minutes, 1),
            number(sum(iterations.values()), 0) + (f" ({stages})" if len(iterations) > 1 else "")
            if iterations
            else DASH,
        ]
        *figures, stages_text = texts
        cells = [*(Cell(text) for text in figures), Cell(stages_text, words=True)]
        table.lines.append(Line(row.name, row.kind, cells))
    return table


def significant(value: float) -> str:
    """Three significant digits, without an exponent."""
    digits = max(0, 2 - _magnitude(value))
    return number(value, digits)


def _magnitude(value: float) -> int:
    return int(f"{value:.2e}".partition("e")[2]) if value else 0


def engineering(value: float | None) -> str:
    """A count with three significant digits and k, M, G or T."""
    if value is None:
        return DASH
    for factor, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{significant(value / factor)} {letter}"
    return number(value, 0)


def seconds_text(summary: Summary | None) -> str:
    """Mean with three significant digits and spread with as many decimals."""
    if summary is None:
        return DASH
    digits = max(0, 2 - _magnitude(summary.mean))
    spread = f" ± {number(summary.std, digits)}" if summary.std is not None else ""
    return number(summary.mean, digits) + spread


def segmentation_table(benchmark: Benchmark, segmenter: str) -> Table | None:
    """How well neurons are found in each row's sections; None if nothing was segmented."""
    rows = [row for row in benchmark.scored + benchmark.references if segmenter in row.segmentation]
    if not rows:
        return None
    keys = [key for key in SEGMENTATION if any(_figure(row, segmenter, key) != DASH for row in rows)]
    table = Table(
        f"Segmentation with {segmenter}",
        f"Difference of what {segmenter} found{_segmented_sections(benchmark)} from the annotation: variation of "
        "information (VOI, bits) in splits and merges, and adapted Rand error. For each row the agglomeration has the "
        f"threshold with the lowest VOI on this annotation. {segmenter} was trained on HR sections: a row is judged by "
        "how well that network understands it. ↓ lower is better; the best method is bold, the HR sections are the "
        "reference.",
        ["Method", *(SEGMENTATION[key] for key in keys), "Threshold"],
    )
    methods = [row for row in rows if row.kind == "method"]
    best = {key: _best_figure(methods, segmenter, key) for key in keys if key in JUDGED}
    for row in rows:
        texts = {key: _figure(row, segmenter, key) for key in keys}
        whole = table.note("Everything is one object.") if row.segmentation[segmenter].one_object else None
        cells = [
            Cell(text, row.kind == "method" and text == best.get(key), whole if key == "voi_split" else None)
            for key, text in texts.items()
        ]
        threshold = row.segmentation[segmenter].threshold
        cells.append(Cell(DASH if threshold is None else f"{threshold:g}"))
        table.lines.append(Line(row.name, row.kind, cells))
    return table


def _segmented_sections(benchmark: Benchmark) -> str:
    if not benchmark.segmented:
        return ""
    names = benchmark.sections[slice(*benchmark.segmented)]
    return f" in {len(names)} sections, {names[0]} to {names[-1]}," if len(names) > 1 else ""


def _figure(row: Row, segmenter: str, key: str) -> str:
    return number(getattr(row.segmentation[segmenter], key), SEGMENTATION_DIGITS)


def _best_figure(methods: Sequence[Row], segmenter: str, key: str) -> str | None:
    """The best figure as it is shown; None with a single method."""
    values = [v for row in methods if (v := getattr(row.segmentation[segmenter], key)) is not None]
    choose = max if key == "membrane_f1" else min
    return number(choose(values), SEGMENTATION_DIGITS) if values and len(methods) > 1 else None


def tables(benchmark: Benchmark) -> list[Table]:
    """All tables, in their order; those without lines are left out."""
    made = [quality_table(benchmark), difference_table(benchmark), cost_table(benchmark)]
    made += [t for segmenter in benchmark.segmenters if (t := segmentation_table(benchmark, segmenter))]
    if len(benchmark.methods) < 2:
        made.remove(made[1])
    return [table for table in made if table.lines]
