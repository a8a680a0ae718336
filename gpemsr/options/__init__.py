"""Option files: reading, overriding, and checking against what classes accept."""
