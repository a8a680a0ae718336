"""GPEMSR with the codes of the HR sections."""

import pytest
import torch
from tiny_stages import tiny_network

from gpemsr.benchmark.networks import TrueCodes, use_true_codes


def pair(seed: int, h: int = 8, w: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 1, h, w, generator=generator), torch.rand(1, 1, 8 * h, 8 * w, generator=generator)


@pytest.fixture
def net():
    """A network whose prior has an effect, which it has not at the start of training."""
    net = tiny_network(3).eval()
    torch.manual_seed(0)
    for module in net.mpf.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    return net


def test_codes_are_those_that_stage_1_gives_the_hr_sections(net):
    pairs = [pair(0), pair(1)]
    prior = TrueCodes(net.prior, pairs)
    codes = prior.prior(torch.cat([pairs[1][0], pairs[0][0]])).codes
    assert torch.equal(codes[0], net.prior.targets(pairs[1][1])[0])
    assert torch.equal(codes[1], net.prior.targets(pairs[0][1])[0])


@torch.no_grad()
def test_the_image_is_what_stage_1_makes_of_the_codes(net):
    (lq, gt), _ = pairs = [pair(0), pair(1)]
    found = TrueCodes(net.prior, pairs).prior(lq)
    image, features = net.prior.vqgan.decode(net.prior.targets(gt))
    assert torch.equal(found.image, image)
    assert all(torch.equal(a, b) for a, b in zip(found.features, features, strict=True))


@pytest.mark.parametrize("size", [(8, 12), (5, 7)])  # the second is padded
def test_the_network_runs_with_them_and_gives_another_image(net, size):
    lq, gt = pair(0, *size)
    window = lq[None].expand(1, net.num_frame, 1, *size)
    before = net(window)
    use_true_codes(net, [(lq, gt)])
    after = net(window)
    assert after.shape == before.shape == (1, 1, 8 * size[0], 8 * size[1])
    assert not torch.allclose(before, after)


def test_a_section_that_is_none_of_the_pairs_is_an_error(net):
    use_true_codes(net, [pair(0)])
    with pytest.raises(KeyError):
        net.prior.prior(pair(1)[0])


def test_without_the_encoder_of_stage_1_there_are_no_true_codes(net):
    net.prior.vqgan.encoder = None
    with pytest.raises(ValueError, match="perceptual: expected vqgan"):
        use_true_codes(net, [pair(0)])
