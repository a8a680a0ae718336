"""The commands: one module per console entry point, each with ``main(argv=None)`` returning the exit code."""

from __future__ import annotations

import argparse
import signal
import sys


def new_parser(name: str, description: str, examples: str | None = None) -> argparse.ArgumentParser:
    """The parser of ``gpemsr-<name>``; ``examples`` are shown as they are."""
    return argparse.ArgumentParser(
        f"gpemsr-{name}",
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter if examples else argparse.HelpFormatter,
    )


def exit_on_terminate() -> None:
    """Let SIGTERM raise SystemExit, so that a command's processes end with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
