"""Predicting a volume by overlapping blocks."""

import numpy as np
import pytest
import torch

from gpemsr.segmentation.prediction import predict_affinities


@pytest.fixture
def net() -> torch.nn.Module:
    """Sees one voxel on each side."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv3d(1, 3, 3, padding=1), torch.nn.Dropout(0.5))


@pytest.mark.parametrize("block", [(2, 4, 5), (3, 3, 3), (99, 99, 99)])
def test_blocks_with_context_give_what_the_whole_volume_gives(net, block):
    raw = torch.rand(5, 11, 7)
    with torch.no_grad():
        whole = net.eval()(raw[None, None])[0].sigmoid().numpy()
    by_blocks = predict_affinities(net.train(), raw, block, (1, 1, 1))
    np.testing.assert_allclose(by_blocks, whole, atol=1e-6)
    assert by_blocks.dtype == np.float32
    assert net.training


def test_without_context_seams_are_seen(net):
    raw = torch.rand(5, 11, 7)
    blocks, whole = (predict_affinities(net, raw, block, (0, 0, 0)) for block in ((2, 4, 5), (5, 11, 7)))
    assert np.abs(blocks - whole).max() > 1e-3
