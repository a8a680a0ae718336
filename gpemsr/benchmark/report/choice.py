"""The sections that the pictures show, chosen by a rule and not by eye."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gpemsr.benchmark.report.results import Benchmark
from gpemsr.benchmark.report.summary import BASELINE


@dataclass(frozen=True)
class Choice:
    """Sections by their rank (``best``, ``median``, ``worst``), and the rule in words."""

    sections: dict[str, int]
    rule: str


def choose_sections(benchmark: Benchmark) -> Choice | None:
    """Best, median and worst section by the PSNR gain of the first trained method over bicubic.

    Without one of the two the PSNR of the first method decides. None if no PSNR was measured.
    """
    rows = [row for row in benchmark.methods if np.isfinite(row.values("psnr")).any()]
    if not rows:
        return None
    base = next((row for row in rows if row.slug == BASELINE), None)
    first = next((row for row in rows if row.slug != BASELINE), None)
    found = _rank(first.values("psnr") - base.values("psnr")) if first and base else []
    rule = f"PSNR gain of {first.name} over {base.name}" if first and base else ""
    if not found:
        found, rule = _rank(rows[0].values("psnr")), f"PSNR of {rows[0].name}"
    names = ["only"] if len(found) == 1 else ["best", "worst"] if len(found) == 2 else ["best", "median", "worst"]
    places = {"only": 0, "best": 0, "median": (len(found) - 1) // 2, "worst": len(found) - 1}
    return Choice({name: found[places[name]] for name in names}, rule)


def _rank(values: np.ndarray) -> list[int]:
    """Places of the finite values, the greatest first."""
    return [int(index) for index in np.argsort(-values, kind="stable") if np.isfinite(values[index])]
