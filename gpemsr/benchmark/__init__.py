"""Comparing methods: equal training, one row a method, and the report."""
