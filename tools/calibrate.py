"""Learn what error the layers of trust let expect: ``python tools/calibrate.py -h`` (also ``gpemsr-calibrate``)."""

import sys

from gpemsr.cli.calibrate import main

if __name__ == "__main__":
    sys.exit(main())
