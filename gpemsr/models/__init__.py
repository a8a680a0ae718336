"""Training logic of the three stages, registered in BasicSR's ``MODEL_REGISTRY``.

Importing this package imports BasicSR and registers every ``*_model.py`` of it.
"""

from gpemsr import import_members

import_members(__name__)
