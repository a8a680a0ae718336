"""``python tools/count_parameters.py options/*.yml``: the same as ``gpemsr-parameters``."""

import sys

from gpemsr.cli.parameters import main

if __name__ == "__main__":
    sys.exit(main())
