"""``python tools/demo.py``: the same as ``gpemsr-demo``."""

import sys

from gpemsr.cli.demo import main

if __name__ == "__main__":
    sys.exit(main())
