"""Measures of sections and segmentations, and how a codebook is used; BasicSR's own metrics have names."""
