"""The patch discriminator computes what the authors' code computes."""

import torch
from fill import TOLERANCE, deviations, filled_network, load_outputs, report


def test_scores_are_the_authors():
    expected = load_outputs("discriminator")
    scores = filled_network("discriminator")(torch.from_numpy(expected["input"]))
    figures = deviations({"output": scores}, expected)
    report("discriminator", figures)
    assert figures["output"] < TOLERANCE
