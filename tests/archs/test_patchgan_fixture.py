"""The patch discriminator computes what the authors' code computes."""

import pytest
import torch
from fill import DEVICES, TOLERANCE, deviations, filled_network, load_outputs, report


@pytest.mark.parametrize("device", DEVICES)
def test_scores_are_the_authors(device):
    expected = load_outputs("discriminator")
    scores = filled_network("discriminator").to(device)(torch.from_numpy(expected["input"]).to(device))
    figures = deviations({"output": scores}, expected)
    report("discriminator", figures)
    assert figures["output"] < TOLERANCE
