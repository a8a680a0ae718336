"""The commands: one module per console entry point, each with ``main(argv=None)`` returning the exit code."""
