"""Super-resolving the sections of a stack."""
