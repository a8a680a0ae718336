"""Make LMDBs of HR and LR sections from an EM volume: ``python tools/create_em_lmdb.py -h`` (also ``gpemsr-lmdb``)."""

import sys

from gpemsr.cli.lmdb import main

if __name__ == "__main__":
    sys.exit(main())
