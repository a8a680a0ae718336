"""Checkpoint files: forms, names of keys, loading into networks."""
