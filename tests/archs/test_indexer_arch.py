"""Stage II: the latent indexer and the prior that it is with the frozen stage I network."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_stages import parameters, tiny_network, without_gradient
from torch import nn
from torch.nn import functional as F

from gpemsr.archs.blocks import ResBlock
from gpemsr.archs.indexer_arch import LatentIndexer


@pytest.fixture(params=[8, 16], ids="x{}".format)
def net(request) -> LatentIndexer:
    return tiny_network(2, request.param)


@settings(deadline=None, max_examples=10)
@given(st.sampled_from([8, 16]), st.integers(1, 40), st.integers(1, 40))
def test_any_size_gives_logits_per_16_hr_pixels(scale, h, w):
    net = tiny_network(2, scale)
    lq = torch.rand(2, 1, h, w)
    with torch.no_grad():
        logits, again = net(lq), net(lq)
    assert logits.shape == (2, 16, -(-h * scale // 16), -(-w * scale // 16))
    assert logits.isfinite().all()
    assert torch.equal(logits, again)


def test_odd_sizes_are_padded_by_repeating_the_edge():
    net = tiny_network(2, 8)
    lq = torch.rand(1, 1, 5, 7)
    padded = lq[..., torch.arange(6).clamp(max=4)[:, None], torch.arange(8).clamp(max=6)]
    assert torch.equal(net(lq), net(padded))


@pytest.mark.parametrize("num_res_blocks", [1, 2])
def test_only_the_last_step_of_x8_halves_the_size(num_res_blocks):
    steps = {scale: list(tiny_network(2, scale, num_res_blocks=num_res_blocks).steps) for scale in (8, 16)}
    assert [len(s) for s in steps.values()] == [4 * num_res_blocks] * 2
    assert isinstance(steps[8][-1], nn.Conv2d) and steps[8][-1].stride == (2, 2)
    assert all(isinstance(step, ResBlock) for step in (*steps[8][:-1], *steps[16]))


def test_targets_are_the_codes_of_stage_one(net):
    gt = torch.rand(1, 1, 48, 64)
    assert torch.equal(net.targets(gt), net.vqgan(gt)[2])
    assert net.targets(gt).shape == net(torch.rand(1, 1, 48 // net.scale, 64 // net.scale)).argmax(1).shape


@torch.no_grad()
def test_the_prior_decodes_the_most_probable_codes(net):
    lq = torch.rand(2, 1, 4, 6)
    prior = net.prior(lq)
    probabilities = F.softmax(net(lq), dim=1)
    confidence, codes = probabilities.max(1)
    assert torch.equal(prior.codes, codes)
    torch.testing.assert_close(prior.confidence, confidence)
    image, features = net.vqgan.decode(codes)
    assert torch.equal(prior.image, image)
    assert prior.image.shape == (2, 1, 4 * net.scale, 6 * net.scale)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(prior.features, features, strict=True))


def test_the_prior_has_no_gradient(net):
    assert not net.prior(torch.rand(1, 1, 4, 6)).image.requires_grad


def test_training_leaves_stage_one_as_it_is(net):
    net.train()
    assert net.steps.training
    assert not any(module.training for module in net.vqgan.modules())
    gt = torch.rand(1, 1, 16 * net.scale, 16 * net.scale)
    F.cross_entropy(net(torch.rand(1, 1, 16, 16)), net.targets(gt)).backward()
    assert without_gradient(net) == []
    assert all(p.grad is None and not p.requires_grad for p in net.vqgan.parameters())


@pytest.mark.parametrize(("scale", "indexer"), [(8, 20_034_176), (16, 22_527_616)])
def test_it_has_the_papers_size(scale, indexer):
    with torch.device("meta"):
        net = LatentIndexer(scale)
    assert parameters(net) - parameters(net.vqgan) == indexer
    assert parameters(net.vqgan) == 42_553_601


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 4}, "scale=4: 8 or 16"),
        ({"num_res_blocks": 0}, "num_res_blocks=0: a positive integer"),
        ({"channels": [64]}, "channels=[64]: 5 widths, each a positive multiple of norm_groups=32"),
        ({"vqgan": {"num_codes": 0}}, "vqgan.num_codes=0: a positive integer"),
        (
            {"vqgan": {"codes": 1}},
            "vqgan.codes: unknown; VQGAN takes channels, num_codes, code_dim, num_res_blocks, norm_groups, beta, "
            "with_encoder",
        ),
    ],
)
def test_options_that_do_not_fit_are_named(options, message):
    with pytest.raises(ValueError) as refused:
        LatentIndexer.check_options(**options)
    assert str(refused.value) == message
