"""``gpemsr-train -opt options/stage3_x8.yml``: train any registered model with BasicSR's loop."""

import sys
from collections.abc import Sequence

from gpemsr.cli.launch import launch


def main(argv: Sequence[str] | None = None) -> int:
    """Train what the option file of the command line describes; return the exit code."""
    return launch(True, argv)


if __name__ == "__main__":
    sys.exit(main())
