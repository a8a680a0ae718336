"""The report of a benchmark: a page, a Markdown file, pictures and CSV files from what its rows left."""

from gpemsr.benchmark.report.report import write_report

__all__ = ["write_report"]
