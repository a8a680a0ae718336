"""``gpemsr-benchmark-train``: train several methods on the same sections with the same CPU time."""

from __future__ import annotations

from collections.abc import Sequence

from gpemsr.cli import exit_on_terminate, new_parser
from gpemsr.errors import command


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Train; returns the exit code."""
    parse = new_parser(
        "benchmark-train",
        "Train the methods that an option file lists, each for the same number of core-minutes: the time of an "
        "iteration is measured first, then schedules are stretched. Trained methods are not trained again.",
    )
    text = "option file (YAML), as options/benchmark/train_fib25.yml"
    parse.add_argument("-opt", required=True, metavar="FILE", help=text)
    arguments = parse.parse_args(argv)
    from gpemsr.benchmark.budget_options import read_budget
    from gpemsr.benchmark.equal_budget import EqualBudget

    exit_on_terminate()
    EqualBudget(read_budget(arguments.opt)).run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
