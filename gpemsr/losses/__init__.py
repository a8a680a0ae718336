"""Losses that BasicSR lacks, registered in its ``LOSS_REGISTRY``.

Importing this package imports BasicSR and registers every ``*_loss.py`` of it.
"""

from gpemsr import import_members

import_members(__name__)
