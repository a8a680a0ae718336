"""``python tools/benchmark.py``: the same as ``gpemsr-benchmark``."""

from gpemsr.cli.benchmark import main

if __name__ == "__main__":
    raise SystemExit(main())
