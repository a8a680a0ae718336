"""The distance of sections as a network for affinities sees them."""

import pytest
import torch
from tiny_stages import AFFINITY_NETWORKS, write_network

import gpemsr

gpemsr.register()
from basicsr.losses import build_loss  # noqa: E402

from gpemsr.losses.affinity_feature_loss import AffinityFeatureLoss  # noqa: E402


@pytest.fixture(params=AFFINITY_NETWORKS, ids=lambda options: options["type"])
def loss(request, tmp_path):
    weights = write_network(tmp_path / "net.pth", request.param)
    return build_loss({"type": "AffinityFeatureLoss", "weights": weights, "loss_weight": 2.0})


def test_it_is_zero_for_the_hr_section_itself_and_grows_with_the_distance(loss):
    hr, noise = torch.rand(2, 1, 24, 32), torch.randn(2, 1, 24, 32)
    distances = [loss(hr + amount * noise, hr)[0].item() for amount in (0.0, 0.01, 0.1)]
    assert distances[0] == 0 < distances[1] < distances[2]


def test_only_the_result_gets_a_gradient_and_the_network_does_not_change(loss):
    pred, target = torch.rand(1, 1, 16, 16, requires_grad=True), torch.rand(1, 1, 16, 16, requires_grad=True)
    before = {key: value.clone() for key, value in loss.train().state_dict().items()}
    value, style = loss(pred, target)
    value.backward()
    assert style is None
    assert pred.grad.abs().sum() > 0
    assert target.grad is None
    assert all(parameter.grad is None for parameter in loss.parameters())
    assert all(torch.equal(value, before[key]) for key, value in loss.state_dict().items())


def test_options_can_be_checked_with_it_before_the_log_file_is_open(tmp_path, monkeypatch):
    weights = write_network(tmp_path / "net.pth", AFFINITY_NETWORKS[0])
    monkeypatch.setattr("basicsr.utils.logger.initialized_logger", opened := {})
    AffinityFeatureLoss(weights)
    assert not opened


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"type": "PatchDiscriminator"}, "of PatchDiscriminator; expected those of SuperhumanUNet or MALAUNet"),
        (None, "does not say which network it is for"),
    ],
)
def test_weights_of_another_network_are_refused(tmp_path, options, message):
    path = tmp_path / "net.pth"
    if options is None:
        torch.save({"params": {"weight": torch.zeros(1)}}, path)
    else:
        write_network(path, options)
    with pytest.raises(ValueError, match=f"^weights={path}: {message}$"):
        build_loss({"type": "AffinityFeatureLoss", "weights": str(path)})
