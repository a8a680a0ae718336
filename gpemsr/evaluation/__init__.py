"""Measuring results: scores of held-back sections, tables and pictures."""
