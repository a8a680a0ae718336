"""The page and the Markdown file, filled from templates."""

from __future__ import annotations

import html
import re

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gpemsr.benchmark.report import provenance
from gpemsr.benchmark.report.headline import headline
from gpemsr.benchmark.report.pictures import Picture
from gpemsr.benchmark.report.results import Benchmark
from gpemsr.benchmark.report.tables import tables

MARKDOWN_SIGNS = re.compile(r"([\\`*_\[\]|#~])")


def render(template: str, benchmark: Benchmark, pictures: list[Picture]) -> str:
    """Fill ``report.html.jinja`` or ``report.md.jinja``; every value is escaped."""
    environment = Environment(
        loader=PackageLoader("gpemsr.benchmark.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = markdown
    return environment.get_template(template).render(
        benchmark=benchmark,
        headline=headline(benchmark),
        compared=provenance.compared(benchmark),
        tables=tables(benchmark),
        pictures=pictures,
        run_facts=provenance.run_facts(benchmark),
        row_facts=list(provenance.row_facts(benchmark)),
        hashes=provenance.hashes(benchmark),
        missing=provenance.missing(benchmark),
    )


def markdown(value: object) -> Markup:
    """Text as one line of Markdown that shows it literally."""
    line = " ".join(str(value).split())
    return Markup(html.escape(MARKDOWN_SIGNS.sub(r"\\\1", line), quote=False))
