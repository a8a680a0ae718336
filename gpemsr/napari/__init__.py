"""The napari plugin: super-resolves an image layer, or what a rectangle holds of it."""
