"""Data sets, LMDB, degradations, the download of CREMI, volume readers and writers.

Importing this package imports nothing, so that reading a volume needs neither torch nor BasicSR.
:func:`gpemsr.register` imports its ``*_dataset.py`` modules, which register the data sets in BasicSR's
``DATASET_REGISTRY``; such a module imports BasicSR inside ``with gpemsr.compat.importable_basicsr():``.
"""
