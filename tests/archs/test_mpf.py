"""MPF: fusion of the generative prior into the LR features."""

import pytest
import torch
from tiny_stages import without_gradient

from gpemsr.archs.mpf import MultiScalePriorFusion, SimilarityMask

CHANNELS = [3, 5, 6, 7]  # of the generative features at HR/2 ... HR/16


def inputs(scale: int, h: int = 4, w: int = 8) -> tuple[torch.Tensor, list[torch.Tensor], torch.Tensor]:
    """LR features, generative features coarse to fine, and similarity, of two sections of h x w pixels."""
    features = [torch.randn(2, CHANNELS[k - 1], h * scale // 2**k, w * scale // 2**k) for k in (4, 3, 2, 1)]
    return torch.randn(2, 8, h, w), features, torch.rand(2, 1, h * scale // 16, w * scale // 16)


@pytest.fixture(params=[8, 16], ids="x{}".format)
def scale(request) -> int:
    return request.param


@pytest.fixture
def fusion(scale) -> MultiScalePriorFusion:
    torch.manual_seed(0)
    return MultiScalePriorFusion(scale, 8, CHANNELS)


def test_features_keep_the_lr_size_and_the_mask_that_of_the_similarity(fusion, scale):
    feat, features, similarity = inputs(scale)
    fused, mask = fusion(feat, features, similarity)
    assert fused.shape == feat.shape
    assert mask.shape == similarity.shape
    assert ((mask > 0) & (mask < 1)).all()


def test_there_is_a_level_per_halving_from_hr_to_lr(fusion, scale):
    levels = {8: 3, 16: 4}[scale]
    assert len(fusion.levels) == levels
    assert len(fusion.downs) == len(fusion.lr_ups) == levels - 1


def test_every_parameter_gets_a_gradient(fusion, scale):
    fusion(*inputs(scale))[0].square().mean().backward()
    assert without_gradient(fusion) == []


def test_every_level_that_is_no_finer_than_lr_matters_and_no_other(fusion, scale):
    feat, features, similarity = inputs(scale)
    for feature in features:
        feature.requires_grad_()
    fusion(feat, features, similarity)[0].square().mean().backward()
    matters = [feature.grad is not None and bool(feature.grad.any()) for feature in features]
    assert matters == [scale == 16, True, True, True]


def test_where_the_mask_is_zero_the_prior_does_not_matter(fusion, scale):
    feat, features, similarity = inputs(scale)
    torch.nn.init.constant_(fusion.mask.layers[4].bias, -1e4)
    fused, mask = fusion(feat, features, similarity)
    assert not mask.any()
    others = [torch.randn_like(feature) for feature in features]
    assert torch.equal(fusion(feat, others, similarity)[0], fused)


def test_the_mask_follows_the_similarity():
    mask = SimilarityMask(4)
    for layer in mask.layers[:5:2]:
        torch.nn.init.constant_(layer.weight, 0.1)
    low, high = (mask(torch.full((1, 1, 5, 5), value)) for value in (0.1, 0.9))
    assert (high > low).all()


def test_features_larger_than_lr_may_be_narrower(scale):
    fusion = MultiScalePriorFusion(scale, 8, CHANNELS, hr_feat=4)
    fused, _ = fusion(*inputs(scale))
    assert fused.shape[1] == 8
    assert [level.conv.out_channels for level in fusion.levels] == [4] * (len(fusion.levels) - 1) + [8]
    fused.square().mean().backward()
    assert without_gradient(fusion) == []
