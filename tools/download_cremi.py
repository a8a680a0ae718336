"""``python tools/download_cremi.py``: the same as ``gpemsr-download-cremi``."""

from gpemsr.cli.download_cremi import main

if __name__ == "__main__":
    raise SystemExit(main())
