"""``python tools/create_em_lmdb.py``: the same as ``gpemsr-lmdb``."""

from gpemsr.cli.lmdb import main

if __name__ == "__main__":
    raise SystemExit(main())
