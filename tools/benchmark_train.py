"""``python tools/benchmark_train.py``: the same as ``gpemsr-benchmark-train``."""

import sys

from gpemsr.cli.benchmark_train import main

if __name__ == "__main__":
    sys.exit(main())
