"""GPEMSR: large-factor super-resolution of electron-microscopy volumes with generative priors."""

__version__ = "0.1.0"
