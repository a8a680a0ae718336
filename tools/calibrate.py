"""Learn what error to expect from the trust layers: ``python tools/calibrate.py -h`` (also ``gpemsr-calibrate``)."""

import sys

from gpemsr.cli.calibrate import main

if __name__ == "__main__":
    sys.exit(main())
