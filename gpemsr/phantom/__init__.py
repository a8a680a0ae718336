"""The synthetic EM stack."""
