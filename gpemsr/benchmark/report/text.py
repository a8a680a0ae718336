"""How values become text of the report: numbers, Markdown that shows them literally, captions."""

from __future__ import annotations

import html
import re
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gpemsr.metrics.measures import Measure

DASH = "–"
MARKDOWN_SIGNS = re.compile(r"([\\`*_\[\]|#~])")
PREFIXES = ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k"), (1, ""))


def escape(value: object) -> str:
    """Text as one line of Markdown that shows it literally."""
    return html.escape(MARKDOWN_SIGNS.sub(r"\\\1", " ".join(str(value).split())), quote=False)


def to_markdown(frame: pd.DataFrame, align: str) -> str:
    """A Markdown table of cells that are Markdown already; columns but the first are aligned as ``align`` says."""
    return frame.to_markdown(index=False, disable_numparse=True, colalign=["left"] + [align] * (frame.shape[1] - 1))


def number(value: float | None, digits: int) -> str:
    """A number with a true minus sign and thousands separated; a dash for None and NaN."""
    return DASH if value is None or pd.isna(value) else f"{value:z,.{digits}f}".replace("-", "−")


def spread(mean: float, deviation: float, digits: int) -> str:
    """Mean ± standard deviation; the mean alone of a single section."""
    return number(mean, digits) + ("" if pd.isna(deviation) else f" ± {number(deviation, digits)}")


def engineering(value: float | None) -> str:
    """A count with three significant digits and k, M, G or T."""
    if value is None or value < 1:
        return number(value, 0)
    factor, letter = next(prefix for prefix in PREFIXES if value >= prefix[0])
    return number(value / factor, 3 - len(str(int(value / factor))) if letter else 0) + letter


def heading(measure: Measure) -> str:
    """Heading of a measure's column."""
    unit = f" ({measure.unit})" if measure.unit else ""
    return f"{measure.label}{unit} {'↑' if measure.higher_is_better else '↓'}"


def template(name: str, autoescape: bool = True) -> Any:
    """A template of the report; its filter ``md`` is :func:`escape`."""
    environment = Environment(
        loader=PackageLoader("gpemsr.benchmark.report", "templates"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"md": lambda value: Markup(escape(value)), "raw": Markup}
    return environment.get_template(name)


def caption(name: str, **values: object) -> str:
    """A caption of ``templates/captions.jinja``: plain text in one line."""
    return " ".join(getattr(template("captions.jinja", autoescape=False).module, name)(**values).split())
