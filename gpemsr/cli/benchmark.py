"""``gpemsr-benchmark``: compare methods on one test set: image quality, resolution, segmentation, cost; one report."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from gpemsr.cli import exit_on_terminate, new_parser
from gpemsr.errors import command


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    parse = new_parser(
        "benchmark",
        "Super-resolve a test set with every method that an option file lists, score the results, and write "
        "report.html, report.md, summary.csv and sections.csv. Rows that are finished are not run again.",
    )
    parse.add_argument("-opt", required=True, metavar="FILE", help="option file (YAML), as options/benchmark/x8.yml")
    return parse


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code: 0, or 1 if a row has no figures."""
    arguments = parser().parse_args(argv)
    from gpemsr.benchmark.benchmark import Benchmark
    from gpemsr.benchmark.options import read_benchmark
    from gpemsr.benchmark.report import write_report

    exit_on_terminate()
    options = read_benchmark(arguments.opt)
    errors = Benchmark(options, arguments.opt).run()
    write_report(Path(options.out))
    for error in errors:
        print(f"no figures for {error}", file=sys.stderr)
    print(f"Written: {Path(options.out) / 'report.html'}, report.md, summary.csv, sections.csv, figures/")
    return 1 if errors else 0


if __name__ == "__main__":
    raise SystemExit(main())
