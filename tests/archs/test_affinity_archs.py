"""The U-Nets that predict affinities."""

import pytest
import torch
from tiny_stages import parameters, without_gradient

from gpemsr.archs.mala_arch import MALAUNet
from gpemsr.archs.superhuman_arch import SuperhumanUNet

TINY = {MALAUNet: {"num_feat": 6, "inc_factor": 1}, SuperhumanUNet: {"channels": [2, 3, 4, 5, 6]}}
EACH = pytest.mark.parametrize("network", TINY)


@pytest.mark.parametrize(("network", "size"), [(MALAUNet, 84_020_475), (SuperhumanUNet, 1_477_539)])
def test_the_published_size(network, size):
    with torch.device("meta"):
        assert parameters(network()) == size


@EACH
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 27, 32), (4, 30, 17)])
def test_volumes_of_any_size_fit(network, shape):
    net = network(**TINY[network]).eval()
    assert net(torch.rand(2, 1, *shape)).shape == (2, 3, *shape)


@EACH
def test_every_parameter_learns(network):
    net = network(**TINY[network])
    net(torch.rand(2, 1, 3, 32, 32)).square().sum().backward()
    assert without_gradient(net) == []


@EACH
def test_sections_are_not_pooled(network):
    """An output section depends on sections near it only, as many as the 3-wide kernels reach."""
    torch.manual_seed(0)
    net = network(**TINY[network]).eval()
    raw = torch.rand(1, 1, 24, 8, 8)
    changed = raw.clone()
    changed[:, :, 23] = 0
    moved = (net(raw) - net(changed)).abs().amax(dim=(0, 1, 3, 4))
    assert moved[0] == 0
    assert moved[23] > 0


@pytest.mark.parametrize(
    ("network", "options", "key"),
    [
        (MALAUNet, {"num_feat": 0}, "num_feat"),
        (MALAUNet, {"inc_factor": 1.5}, "inc_factor"),
        (SuperhumanUNet, {"channels": [1, 2, 3]}, "channels"),
        (SuperhumanUNet, {"channels": [1, 2, 3, 4, 0]}, "channels"),
    ],
)
def test_options_that_do_not_fit_are_named(network, options, key):
    with pytest.raises(ValueError, match=f"^{key}="):
        network(**options)
