"""Metrics that BasicSR lacks, registered in its ``METRIC_REGISTRY``.

Importing this package imports BasicSR and registers every ``*_metric.py`` of it.
"""

from gpemsr import import_members

import_members(__name__)
