"""The contextual loss and the VGG features compute what the authors' code computes."""

import pytest
import torch
from fill import DEVICES, TOLERANCE, deviations, fill, load_outputs, report

import gpemsr

gpemsr.register()
from gpemsr.archs.perceptual import VGG19Features  # noqa: E402
from gpemsr.losses.contextual_loss import ContextualLoss  # noqa: E402

EXPECTED = {name: torch.from_numpy(value) for name, value in load_outputs("contextual").items()}
SLICES = {"relu1_2": range(0, 4), "relu2_2": range(4, 9), "relu3_4": range(9, 18)}
STEPS = {"relu1_2": 16, "relu2_2": 32, "relu3_4": 64}  # of the channels that the fixture keeps


def vgg19(layer: str, normalize: bool) -> VGG19Features:
    """VGG19 filled under the names that the authors' slices have."""
    net = VGG19Features(layer, weights=None, normalize=normalize)
    state = {}
    for key, value in net.state_dict().items():
        _, index, leaf = key.split(".")
        part = next(i for i, indices in enumerate(SLICES.values(), start=1) if int(index) in indices)
        state[key] = fill(f"slice{part}.{index}.{leaf}", tuple(value.shape))
    net.load_state_dict(state)
    return net


@pytest.mark.parametrize("layer", SLICES)
def test_vgg_features_are_the_authors(layer):
    features = vgg19(layer, normalize=False)(EXPECTED["ix"])
    name = f"vgg_{layer}_sub"
    figures = deviations({name: features[:, :: STEPS[layer], ::4, ::4]}, load_outputs("contextual"))
    report("VGG19", figures)
    assert figures[name] < TOLERANCE


@pytest.mark.parametrize(("item", "band_width"), [("loss_cosine", 0.5), ("loss_cosine_bw0.1", 0.1)])
def test_cosine_loss_of_features_is_the_authors(item, band_width):
    loss = ContextualLoss(band_width=band_width, vgg_weights=None)
    loss.extractor = torch.nn.Identity()
    value = loss(EXPECTED["fx"], EXPECTED["fy"][:, None])
    figures = deviations({item: value}, load_outputs("contextual"))
    report("contextual loss", figures)
    assert figures[item] < TOLERANCE


def vgg_loss(normalize: bool, device: str = "cpu") -> torch.Tensor:
    loss = ContextualLoss(vgg_weights=None)
    loss.extractor = vgg19("relu3_4", normalize).to(device)
    return loss(EXPECTED["ix"].to(device), EXPECTED["iy"][:, None].to(device))


@pytest.mark.parametrize("device", DEVICES)
def test_loss_of_images_is_the_authors(device):
    figures = deviations({"loss_vgg_relu3_4": vgg_loss(normalize=True, device=device)}, load_outputs("contextual"))
    report("contextual loss", figures)
    assert figures["loss_vgg_relu3_4"] < TOLERANCE


def test_images_not_normalised_fail_the_comparison():
    figures = deviations({"loss_vgg_relu3_4": vgg_loss(normalize=False)}, load_outputs("contextual"))
    assert figures["loss_vgg_relu3_4"] > TOLERANCE
