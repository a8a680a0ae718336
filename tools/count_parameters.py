"""``python tools/count_parameters.py``: the same as ``gpemsr-parameters``."""

from gpemsr.cli.parameters import main

if __name__ == "__main__":
    raise SystemExit(main())
