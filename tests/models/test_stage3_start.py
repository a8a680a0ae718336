"""Stage III leaves the bilinear image whatever the seed; benchmarks/stage3_start.py is the long form."""

import pytest
import torch
from scipy.ndimage import gaussian_filter

from gpemsr.archs.gpemsr_arch import GPEMSR, enlarge
from gpemsr.options.read import read_options

STEPS, WARMUP = 60, 20


@pytest.fixture(scope="module")
def network_options(request) -> dict:
    """The demo's network."""
    options = read_options(request.config.rootpath / "options/demo/stage3_x8.yml")["network_g"]
    return {key: value for key, value in options.items() if key != "type"}


def window(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Five LR sections (1, 5, 1, 8, 8), alike from one to the next, and HR with edges (1, 1, 64, 64)."""
    noise = torch.randn(5, 64, 64, generator=generator).numpy()
    blobs = torch.from_numpy(gaussian_filter(noise, (2, 3, 3), mode="wrap"))
    hr = 0.5 + 0.2 * torch.tanh(4 * blobs / blobs.std())
    return hr.view(1, 5, 1, 8, 8, 8, 8).mean((-3, -1)), hr[2][None, None]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_attention_stays_open_and_the_loss_falls_below_that_of_the_bilinear_image(network_options, seed):
    torch.manual_seed(seed)
    net = GPEMSR(**network_options).train()
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], 1e-3, betas=(0.9, 0.99))
    attention: list[float] = []
    net.fusion.gate.register_forward_hook(lambda gate, args, weights: attention.append(weights.mean().item()))
    generator, gains = torch.Generator().manual_seed(seed), []
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = 1e-3 * min(1, (step + 1) / WARMUP)
        lq, gt = window(generator)
        loss = (net(lq) - gt).abs().mean()
        gains.append(1 - loss.item() / (enlarge(lq[:, 2], 8) - gt).abs().mean().item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert min(attention) > 0.3
    assert sum(gains[-10:]) / 10 > 0.02
