"""``python basicsr/test.py -opt FILE``: the same as ``gpemsr-test -opt FILE``, from a checkout.

This folder has no ``__init__.py``: with one it would shadow the installed BasicSR.
"""

import sys
from pathlib import Path

# Python puts this folder on the path; it is the checkout that must be there.
here = Path(__file__).resolve().parent
sys.path[:] = [str(here.parent), *(entry for entry in sys.path if Path(entry).resolve() != here)]

from gpemsr.cli.test import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
