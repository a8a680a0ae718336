"""``python tools/demo.py``: the same as ``gpemsr-demo``."""

from gpemsr.cli.demo import main

if __name__ == "__main__":
    raise SystemExit(main())
