"""``gpemsr-test -opt options/test_x8.yml``: test any registered model with BasicSR's loop."""

import sys
from collections.abc import Sequence

from gpemsr.cli.launch import launch


def main(argv: Sequence[str] | None = None) -> int:
    """Test what the option file of the command line describes; return the exit code."""
    return launch(False, argv)


if __name__ == "__main__":
    sys.exit(main())
