"""For tools that look for setup.py; the metadata are in pyproject.toml."""

from setuptools import setup

setup()
