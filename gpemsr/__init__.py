"""GPEMSR: large-factor super-resolution of electron-microscopy volumes with generative priors."""

from gpemsr.registration import register

__version__ = "0.1.0"
__all__ = ["__version__", "register"]
