"""GPEMSR in MMagic: networks, editor, data sets, metric and hook in MMagic's registries, for mmengine's Runner.

Importing this package imports MMagic (ImportError, one line, where it is not installed); nothing else of ours does.
"""

from gpemsr.compat import load_mmagic_registries

load_mmagic_registries()

from gpemsr.mmagic import datasets, editor, hooks, metrics, networks  # noqa: E402

__all__ = ["datasets", "editor", "hooks", "metrics", "networks"]
