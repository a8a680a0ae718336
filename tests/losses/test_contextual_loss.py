"""Contextual loss: what it is insensitive to, what it punishes, and where its gradient goes."""

import pytest
import torch
from torch import nn

from gpemsr.losses import contextual_loss
from gpemsr.losses.contextual_loss import EPS, ContextualLoss, contextual_similarity


@pytest.fixture
def loss() -> ContextualLoss:
    """With images for features: 4 channels of 2 x 2 pixels each."""
    loss = ContextualLoss(vgg_weights=None)
    loss.extractor = nn.PixelUnshuffle(2)
    return loss


def images(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def test_an_image_is_most_similar_to_itself(loss):
    reference = images(1, 1, 1, 8, 8)
    same = loss(reference[:, 0], reference)
    assert same < 0.1
    for noise in (0.1, 0.5):
        assert loss(reference[:, 0] + noise * torch.randn(1, 1, 8, 8), reference) > same + 0.01


def test_similarity_is_in_0_to_1_and_1_for_the_same_features():
    x, y = torch.randn(2, 3, 8, 5, 6)
    for a, b in ((x, y), (x, x)):
        similarity = contextual_similarity(a, b, band_width=0.5)
        assert similarity.shape == (3,)
        assert ((similarity > 0) & (similarity <= 1)).all()
    torch.testing.assert_close(contextual_similarity(x, x, 0.5), torch.ones(3), rtol=0, atol=1e-3)


def test_it_does_not_matter_where_a_feature_is():
    x, y = torch.randn(2, 2, 8, 5, 6)
    permuted = x.flatten(2)[..., torch.randperm(30)].view(x.shape)
    torch.testing.assert_close(contextual_similarity(permuted, y, 0.5), contextual_similarity(x, y, 0.5))
    permuted = y.flatten(2)[..., torch.randperm(30)].view(y.shape)
    torch.testing.assert_close(contextual_similarity(x, permuted, 0.5), contextual_similarity(x, y, 0.5))


def test_feature_maps_may_differ_in_size():
    assert contextual_similarity(torch.randn(1, 8, 5, 6), torch.randn(1, 8, 3, 4), 0.5).shape == (1,)


def plain_similarity(x: torch.Tensor, y: torch.Tensor, band_width: float) -> torch.Tensor:
    """All places at once, with PyTorch's gradient."""
    mean = y.mean(dim=(0, 2, 3), keepdim=True)
    x, y = (nn.functional.normalize(v - mean, dim=1).flatten(2) for v in (x, y))
    distance = 1 - x.transpose(1, 2) @ y
    score = ((1 - distance / (distance.amin(2, keepdim=True) + EPS)) / band_width).exp()
    affinity, best = (score / (score.sum(2, keepdim=True) + EPS)).max(1, keepdim=True)
    weight = ((1 - distance.gather(1, best)) / band_width).exp()
    return (affinity * weight).sum((1, 2)) / weight.sum((1, 2))


@pytest.mark.parametrize("places", [2**20, 50], ids=["one block", "blocks of two rows"])
@pytest.mark.parametrize("shared", [0.0, 0.8], ids=["few rows win", "many rows win"])
def test_value_and_gradient_are_those_of_all_places_at_once(monkeypatch, places, shared):
    monkeypatch.setattr(contextual_loss, "CPU_PLACES", places)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 8, 6, 7, generator=generator)
    y = shared * x[..., :5, :5] + (1 - shared) * torch.randn(3, 8, 5, 5, generator=generator)
    found = []
    for similarity in (contextual_similarity, plain_similarity):
        features = x.clone().requires_grad_()
        value = similarity(features, y, 0.5)
        value.log().mean().backward()
        found.append((value, features.grad))
    for ours, expected in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6 * expected.abs().max().item())


def test_the_output_is_compared_with_each_of_its_own_references(loss):
    pred, reference = images(2, 1, 8, 8), torch.rand(2, 3, 1, 8, 8)
    repeated = pred[:, None].expand(-1, 3, -1, -1, -1)
    features, target = (nn.PixelUnshuffle(2)(x.flatten(0, 1)) for x in (repeated, reference))
    expected = -(contextual_similarity(features, target, 0.5) + EPS).log().mean()
    torch.testing.assert_close(loss(pred, reference), expected)


def test_the_weight_scales_it(loss):
    pred, reference = images(1, 1, 8, 8), torch.rand(1, 2, 1, 8, 8)
    whole = loss(pred, reference)
    loss.loss_weight = 0.01
    torch.testing.assert_close(loss(pred, reference), 0.01 * whole)


def test_the_gradient_goes_to_the_output_only():
    loss = ContextualLoss(vgg_weights=None)
    pred, reference = images(1, 1, 16, 16).requires_grad_(), torch.rand(1, 2, 1, 16, 16, requires_grad=True)
    loss(pred, reference).backward()
    assert pred.grad.isfinite().all() and pred.grad.any()
    assert reference.grad is None
    assert all(p.grad is None for p in loss.parameters())


def test_equal_images_have_a_finite_gradient(loss):
    reference = images(1, 1, 1, 8, 8)
    pred = reference[:, 0].clone().requires_grad_()
    loss(pred, reference).backward()
    assert pred.grad.isfinite().all()


def test_a_flat_image_has_a_finite_gradient(loss):
    pred = torch.full((1, 1, 8, 8), 0.5, requires_grad=True)
    loss(pred, torch.full((1, 1, 1, 8, 8), 0.5)).backward()
    assert pred.grad.isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": "vgg16"}, "features=vgg16: vgg19 or vqgan"),
        ({"band_width": 0}, "band_width=0: a positive number"),
    ],
)
def test_options_that_do_not_fit_are_named(options, message):
    with pytest.raises(ValueError) as refused:
        ContextualLoss(**options)
    assert str(refused.value) == message


def test_with_vqgan_features_the_model_brings_the_extractor():
    assert ContextualLoss(features="vqgan").extractor is None
