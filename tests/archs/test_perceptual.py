"""Frozen features, and the patch similarity of two feature maps."""

import pytest
import torch
from tiny_stages import tiny_network
from torch import nn
from torch.nn import functional as F

from gpemsr.archs.perceptual import IMAGENET_MEAN, IMAGENET_STD, EncoderFeatures, VGG19Features, patch_cosine


@pytest.mark.parametrize(
    ("layer", "convolutions", "shape"),
    [("relu1_2", 2, (1, 64, 16, 20)), ("relu2_2", 4, (1, 128, 8, 10)), ("relu3_4", 8, (1, 256, 4, 5))],
)
def test_vgg_is_no_deeper_than_its_layer(layer, convolutions, shape):
    net = VGG19Features(layer, weights=None)
    assert sum(isinstance(module, nn.Conv2d) for module in net.modules()) == convolutions
    features = net(torch.rand(1, 1, 16, 20))
    assert features.shape == shape
    assert (features >= 0).all()
    assert not any(p.requires_grad for p in net.parameters())


def vgg_file(folder) -> tuple[str, dict[str, torch.Tensor]]:
    """A file of torchvision's layout that holds the first two convolutions and one too deep."""
    shapes = {"0": (64, 3, 3, 3), "2": (64, 64, 3, 3), "5": (128, 64, 3, 3)}
    state = {f"features.{i}.weight": torch.randn(shape) * 0.1 for i, shape in shapes.items()}
    state |= {f"features.{i}.bias": torch.randn(shape[0]) for i, shape in shapes.items()}
    torch.save(state, folder / "vgg19.pth")
    return str(folder / "vgg19.pth"), state


@pytest.mark.parametrize("normalize", [False, True])
def test_vgg_weights_come_from_torchvisions_file(tmp_path, normalize):
    file, state = vgg_file(tmp_path)
    image = torch.rand(1, 1, 8, 8)
    x = image.repeat(1, 3, 1, 1)
    if normalize:
        x = (x - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(IMAGENET_STD).view(3, 1, 1)
    for i in (0, 2):
        x = F.conv2d(x, state[f"features.{i}.weight"], state[f"features.{i}.bias"], padding=1).relu()
    torch.testing.assert_close(VGG19Features("relu1_2", file, normalize)(image), x)


def test_a_gradient_passes_through_vgg_to_the_image():
    image = torch.rand(1, 1, 16, 16, requires_grad=True)
    VGG19Features("relu3_4", weights=None, normalize=True)(image).mean().backward()
    assert image.grad.any()


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_encoder_features_are_the_encoders_first_layers(steps):
    vqgan = tiny_network(1, channels=[4, 8, 12, 8, 8])
    features = EncoderFeatures(vqgan, steps)
    image = torch.rand(1, 1, 32, 48)
    expected = vqgan.encoder.stem(image)
    for step in vqgan.encoder.steps[:steps]:
        expected = step(expected)
    assert torch.equal(features(image), expected)
    assert expected.shape == (1, [4, 8, 12][steps], 32 // 2**steps, 48 // 2**steps)


def test_encoder_features_own_nothing_and_follow_the_encoder():
    vqgan = tiny_network(1)
    features = EncoderFeatures(vqgan)
    assert features.state_dict() == {}
    image = torch.rand(1, 1, 16, 16)
    before = features(image)
    nn.init.zeros_(vqgan.encoder.stem[0].weight)
    assert not torch.equal(features(image), before)


def test_patch_cosine_is_that_of_flattened_patches():
    torch.manual_seed(0)
    a, b = torch.randn(2, 2, 3, 8, 12)
    patches = [F.unfold(x, 4, stride=4) for x in (a, b)]  # (2, 3 * 16, 2 * 3)
    expected = F.cosine_similarity(*patches, dim=1).view(2, 1, 2, 3)
    torch.testing.assert_close(patch_cosine(a, b, 4), expected)


def test_patch_cosine_is_1_for_the_same_patch_brighter_and_minus_1_for_its_negative():
    a = torch.randn(1, 3, 8, 8)
    torch.testing.assert_close(patch_cosine(a, 3 * a, 4), torch.ones(1, 1, 2, 2))
    torch.testing.assert_close(patch_cosine(a, -a, 4), -torch.ones(1, 1, 2, 2))


def test_patch_cosine_of_nothing_is_0():
    assert not patch_cosine(torch.zeros(1, 2, 4, 4), torch.rand(1, 2, 4, 4), 4).any()
