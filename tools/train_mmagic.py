"""``python tools/train_mmagic.py``: the same as ``gpemsr-train-mmagic``."""

from gpemsr.cli.train_mmagic import main

if __name__ == "__main__":
    raise SystemExit(main())
