"""Fetch the files of the CREMI challenge: ``python tools/download_cremi.py -h`` (also ``gpemsr-download-cremi``)."""

import sys

from gpemsr.cli.download_cremi import main

if __name__ == "__main__":
    sys.exit(main())
