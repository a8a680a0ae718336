"""``python tools/convert_checkpoint.py``: the same as ``gpemsr-convert``."""

from gpemsr.cli.convert import main

if __name__ == "__main__":
    raise SystemExit(main())
