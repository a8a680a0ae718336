"""``python tools/benchmark_train.py``: the same as ``gpemsr-benchmark-train``."""

from gpemsr.cli.benchmark_train import main

if __name__ == "__main__":
    raise SystemExit(main())
