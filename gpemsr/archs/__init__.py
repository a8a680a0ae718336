"""Networks: tensors in, tensors out, registered in BasicSR's ``ARCH_REGISTRY``.

Importing this package imports BasicSR and registers every ``*_arch.py`` of it.
"""

from gpemsr import import_members

import_members(__name__)
