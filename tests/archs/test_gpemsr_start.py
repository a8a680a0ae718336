"""The start of GPEMSR: the signal arrives, and nothing is shut."""

import pytest
import torch
from tiny_stages import GPEMSR as TINY
from tiny_stages import without_gradient

from gpemsr.archs.gpemsr_arch import GPEMSR, enlarge
from gpemsr.archs.gpemsr_without_arch import PARTS, GPEMSRWithout

BICUBIC_CONTRAST = 1 / 8


def new_network(network: type[GPEMSR] = GPEMSR, **options: str) -> GPEMSR:
    torch.manual_seed(0)
    return network(scale=8, **{**TINY, "num_feat": 16, "hr_feat": 8, "num_reconstruct_block": 10}, **options)


def sections() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return (0.5 + BICUBIC_CONTRAST * torch.randn(2, 3, 1, 12, 16, generator=generator)).clamp(0, 1)


def contrast(x: torch.Tensor) -> float:
    """How much a feature map varies from place to place."""
    return x.std((-2, -1)).mean().item()


def test_the_first_image_is_all_but_the_bilinear_one():
    lq = sections()
    with torch.no_grad():
        difference = new_network()(lq) - enlarge(lq[:, 1], 8)
    assert 0 < difference.abs().mean() < 0.02


@pytest.mark.parametrize("without", [None, *PARTS])
def test_the_signal_arrives_with_the_size_that_it_had(without):
    net, seen = new_network(GPEMSRWithout, without=without) if without else new_network(), {}
    for name in ("conv_first", "mpf", "align", "fusion", "reconstruction", "upsample"):
        if not hasattr(net, name):
            continue

        def keep(_module, _inputs, output, name=name):
            seen[name] = contrast(output[0] if name == "mpf" else output)

        net.get_submodule(name).register_forward_hook(keep)
    with torch.no_grad():
        net(sections())
    assert all(0.1 < value < 3 for value in seen.values()), seen
    assert 0.5 < seen.get("mpf", 1) < 1.5


def test_grey_gives_no_signal():
    net = new_network()
    grey = torch.full((1, 3, 1, 12, 16), 0.5)
    with torch.no_grad():
        inner = net.conv_first(grey[0])[..., 1:-1, 1:-1]
    assert inner.abs().max() < 1e-5


def test_forty_steps_beat_the_bilinear_image():
    """On one window; PyTorch's own start stays at it."""
    net, lq = new_network(), sections()[:1, :, :, :8, :8]
    hr = enlarge(lq[:, 1], 8)
    hr = (hr + 0.1 * torch.sin(hr * 40)).detach()
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], 1e-3)
    start = torch.nn.functional.mse_loss(enlarge(lq[:, 1], 8), hr)
    for _ in range(40):
        loss = torch.nn.functional.mse_loss(net(lq), hr)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.98 * start


def test_everything_that_learns_has_a_gradient():
    net = new_network()
    net(sections()).square().mean().backward()
    assert not without_gradient(net)
