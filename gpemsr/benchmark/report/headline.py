"""The result in one sentence, from the figures."""

from __future__ import annotations

from gpemsr.benchmark.report.results import Benchmark, Row
from gpemsr.benchmark.report.summary import best_row, difference, summarise
from gpemsr.benchmark.report.tables import bound, difference_digits, number
from gpemsr.metrics.measures import MEASURES

RAND_DIGITS = 3


def headline(benchmark: Benchmark) -> str:
    """Which method leads in PSNR, SSIM and adapted Rand error, by how much, and with what interval."""
    methods = benchmark.methods
    clauses = [_measure_clause(methods, name) for name in ("psnr", "ssim") if name in MEASURES]
    clauses.append(_rand_clause(methods, benchmark.segmenters))
    told = [clause for clause in clauses if clause]
    if not told:
        return "No method was scored."
    count = len(benchmark.sections)
    return f"On {count} section{'s' * (count != 1)}, {'; '.join(told)}."


def _measure_clause(methods: list[Row], name: str) -> str | None:
    measure = MEASURES[name]
    best = best_row(methods, name)
    summary = summarise(best.values(name)) if best else None
    if best is None or summary is None:
        return None
    unit = f" {measure.unit}" if measure.unit else ""
    value = f"{number(summary.mean, measure.digits)}{unit}"
    gap = difference(best, methods, name)
    if gap is None:
        return f"{measure.label} is known of {best.name} alone, {value}"
    digits = difference_digits(measure)
    by = f"{number(abs(gap.mean), digits)}{unit} {'above' if gap.mean >= 0 else 'below'} {gap.rival.name}"
    if gap.low is None or gap.high is None:
        return f"{best.name} leads in {measure.label} with {value} ({by}; one section, so no interval)"
    low, high = (gap.low, gap.high) if gap.mean >= 0 else (-gap.high, -gap.low)
    interval = f"95 % interval {bound(low, digits)} to {bound(high, digits)}"
    doubt = "" if gap.clear else ", so not a clear lead"
    return f"{best.name} leads in {measure.label} with {value} ({by}, {interval}{doubt})"


def _rand_clause(methods: list[Row], segmenters: list[str]) -> str | None:
    lowest = [text for segmenter in segmenters if (text := _lowest_rand(methods, segmenter))]
    if not lowest:
        return None
    rows = ", and for ".join(lowest)
    return f"adapted Rand error, one figure for all sections and so without interval, is lowest for {rows}"


def _lowest_rand(methods: list[Row], segmenter: str) -> str | None:
    values: dict[str, float] = {
        row.name: scores.adapted_rand
        for row in methods
        if (scores := row.segmentation.get(segmenter)) and scores.adapted_rand is not None
    }
    ranked = sorted(values, key=values.__getitem__)
    if not ranked:
        return None
    text = f"{ranked[0]} with {segmenter} ({number(values[ranked[0]], RAND_DIGITS)}"
    if len(ranked) == 1:
        return f"{text}, the only one segmented)"
    return f"{text}, {number(values[ranked[1]] - values[ranked[0]], RAND_DIGITS)} below {ranked[1]})"
