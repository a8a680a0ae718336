"""Where the figures come from: what was compared, how it was run, what is missing."""

from __future__ import annotations

from collections.abc import Iterator

from gpemsr.benchmark.report.results import Benchmark
from gpemsr.metrics.measures import MEASURES

Pairs = list[tuple[str, str]]


def compared(benchmark: Benchmark) -> str:
    """What was compared, in a sentence or two."""
    count = len(benchmark.sections)
    size = benchmark.pixel_size_nm
    pixels = f", from {size * benchmark.scale:g} nm to {size:g} nm pixels" if size else ""
    text = f"×{benchmark.scale} super-resolution of {count} section{'s' * (count != 1)}{pixels}"
    text += f". Methods: {', '.join(row.name for row in benchmark.methods) or 'none'}."
    if benchmark.oracles:
        names = ", ".join(row.name for row in benchmark.oracles)
        text += f" Oracles, which use what a user does not have and do not compete: {names}."
    return text


def run_facts(benchmark: Benchmark) -> Pairs:
    """Settings, machine and versions."""
    facts = {
        "Benchmark": benchmark.name,
        "Pixel of HR": f"{benchmark.pixel_size_nm:g} nm" if benchmark.pixel_size_nm else None,
        "Section spacing": f"{benchmark.section_nm:g} nm" if benchmark.section_nm else None,
        "Machine": benchmark.machine,
        "Threads": str(benchmark.threads) if benchmark.threads else None,
        **benchmark.versions,
        "Data": benchmark.note,
    }
    return [(key, value) for key, value in facts.items() if value]


def row_facts(benchmark: Benchmark) -> Iterator[tuple[str, str, str]]:
    """Name, options and weights of each row."""
    for row in benchmark.rows:
        if row.options or row.weights:
            yield row.name, row.options or "–", row.weights or "–"


def hashes(benchmark: Benchmark) -> Pairs:
    """Files and their SHA-256: data, then options and weights, each once."""
    files = dict(benchmark.hashes)
    for row in benchmark.rows:
        files.update(row.hashes)
    return list(files.items())


def missing(benchmark: Benchmark) -> list[tuple[str, str, str]]:
    """Measure, the rows that lack it, and why."""
    rows: dict[tuple[str, str], list[str]] = {}
    for row in benchmark.scored:
        for name, reason in row.missing.items():
            label = MEASURES[name].label if name in MEASURES else name
            rows.setdefault((label, reason), []).append(row.name)
    count = len(benchmark.scored)
    return [
        (label, "all rows" if len(names) == count else ", ".join(names), reason)
        for (label, reason), names in rows.items()
    ]
