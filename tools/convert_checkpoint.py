"""The authors' weights as ours and back: ``python tools/convert_checkpoint.py -h``, also ``gpemsr-convert``."""

import sys

from gpemsr.cli.convert import main

if __name__ == "__main__":
    sys.exit(main())
