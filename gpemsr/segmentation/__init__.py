"""Affinities, their prediction, agglomeration and scores."""
