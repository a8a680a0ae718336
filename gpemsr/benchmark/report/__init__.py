"""The report of a benchmark: a page, a Markdown file, pictures and CSV files from the results of its rows."""

from gpemsr.benchmark.report.report import write_report

__all__ = ["write_report"]
