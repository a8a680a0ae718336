"""Readers and writers of volumes, one module a format."""
