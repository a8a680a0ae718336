"""``python tools/benchmark.py``: the same as ``gpemsr-benchmark``."""

import sys

from gpemsr.cli.benchmark import main

if __name__ == "__main__":
    sys.exit(main())
