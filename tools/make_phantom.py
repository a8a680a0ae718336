"""Write a synthetic EM stack with the cells in it: ``python tools/make_phantom.py -h`` (also ``gpemsr-phantom``)."""

import sys

from gpemsr.cli.phantom import main

if __name__ == "__main__":
    sys.exit(main())
