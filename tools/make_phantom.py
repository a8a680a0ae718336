"""``python tools/make_phantom.py``: the same as ``gpemsr-phantom``."""

from gpemsr.cli.phantom import main

if __name__ == "__main__":
    raise SystemExit(main())
