"""The napari plugin: super-resolves an image layer, or the part of it inside a rectangle."""

from gpemsr.compat.triton_import import import_triton

import_triton()
