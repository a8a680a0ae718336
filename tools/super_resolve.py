"""Super-resolve a whole LR volume: ``python tools/super_resolve.py -h`` (also ``gpemsr-upscale``)."""

import sys

from gpemsr.cli.upscale import main

if __name__ == "__main__":
    sys.exit(main())
