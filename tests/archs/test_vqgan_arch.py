"""Stage I: sizes, quantisation and gradients of the VQGAN."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_stages import parameters, tiny_network, without_gradient

from gpemsr.archs.vqgan_arch import VQGAN, Codebook


@pytest.fixture
def net() -> VQGAN:
    return tiny_network(1)


@settings(deadline=None, max_examples=10)
@given(st.integers(1, 70), st.integers(1, 70))
def test_any_size_is_reconstructed_with_one_code_per_16_pixels(h, w):
    net = tiny_network(1)
    image = torch.rand(1, 1, h, w)
    with torch.no_grad():
        result, loss, codes = net(image)
        again, _, _ = net(image)
    assert result.shape == image.shape
    assert codes.shape == (1, -(-h // 16), -(-w // 16))
    assert result.isfinite().all() and loss.isfinite()
    assert torch.equal(result, again)


def test_a_size_that_does_not_fit_is_padded_by_repeating_the_edge(net):
    image = torch.rand(1, 1, 37, 50)
    padded = image[..., torch.arange(48).clamp(max=36)[:, None], torch.arange(64).clamp(max=49)]
    with torch.no_grad():
        result, _, codes = net(image)
        expected, _, expected_codes = net(padded)
        assert torch.equal(codes, expected_codes)
        assert torch.equal(result, expected[..., :37, :50])
        assert torch.equal(net.encode(image), codes)


def test_decoding_the_codes_gives_the_reconstruction_and_features_coarse_to_fine(net):
    net = tiny_network(1, channels=[4, 8, 12, 16, 20])
    image = torch.rand(2, 1, 32, 48)
    with torch.no_grad():
        result, _, codes = net(image)
        decoded, features = net.decode(codes)
    torch.testing.assert_close(decoded, result)
    assert [tuple(f.shape) for f in features] == [(2, 20, 2, 3), (2, 16, 4, 6), (2, 12, 8, 12), (2, 8, 16, 24)]


def test_nearest_is_what_brute_force_finds():
    torch.manual_seed(0)
    codebook = Codebook(50, 6, beta=1.0)
    torch.nn.init.normal_(codebook.embedding.weight)
    z = torch.randn(2, 6, 5, 7)
    distance = (z.permute(0, 2, 3, 1)[..., None, :] - codebook.embedding.weight).square().sum(-1)
    assert torch.equal(codebook.nearest(z), distance.argmin(-1))


def test_new_codes_are_uniform_within_one_over_their_number():
    weight = Codebook(64, 512, beta=1.0).embedding.weight
    assert weight.abs().max() <= 1 / 64
    assert weight.std().item() == pytest.approx(1 / 64 / 3**0.5, rel=0.02)


def test_the_gradient_passes_straight_through():
    codebook = Codebook(5, 3, beta=1.0)
    z = torch.randn(1, 3, 2, 2, requires_grad=True)
    quantised, _, codes = codebook(z)
    torch.testing.assert_close(quantised, codebook.lookup(codes))
    upstream = torch.randn_like(quantised)
    quantised.backward(upstream)
    assert torch.equal(z.grad, upstream)
    assert codebook.embedding.weight.grad is None


@pytest.mark.parametrize("beta", [1.0, 0.25])
def test_the_codebook_loss_moves_the_latents_and_beta_times_the_codes(beta):
    codebook = Codebook(5, 3, beta)
    z = torch.randn(1, 3, 2, 2, requires_grad=True)
    _, loss, codes = codebook(z)
    difference = z - codebook.lookup(codes)
    assert loss.item() == pytest.approx((1 + beta) * difference.square().mean().item())
    loss.backward()
    torch.testing.assert_close(z.grad, 2 * difference / z.numel())
    used = torch.zeros(5, 3).index_add(0, codes.flatten(), difference.permute(0, 2, 3, 1).reshape(-1, 3))
    torch.testing.assert_close(codebook.embedding.weight.grad, -2 * beta * used / z.numel())


@pytest.mark.parametrize("quantize", [True, False])
def test_every_parameter_gets_a_gradient(net, quantize):
    image = torch.rand(1, 1, 32, 32)
    result, loss, _ = net(image, quantize=quantize)
    ((result - image).abs().mean() + loss).backward()
    assert without_gradient(net) == []


def test_without_quantisation_it_is_a_plain_autoencoder(net):
    image = torch.rand(1, 1, 32, 32)
    result, loss, codes = net(image, quantize=False)
    plain, _ = net.decoder(net.encoder(image))
    assert torch.equal(result, plain)
    assert loss == 0
    assert torch.equal(codes, net.encode(image))
    loss.backward()
    assert not net.codebook.embedding.weight.grad.any()


def test_a_prior_needs_no_encoder():
    net = tiny_network(1, with_encoder=False)
    assert not any(name.startswith("encoder") for name, _ in net.named_parameters())
    assert net.decode(torch.zeros(1, 2, 3, dtype=torch.long))[0].shape == (1, 1, 32, 48)


def test_it_has_the_papers_size():
    with torch.device("meta"):
        net = VQGAN()
    parts = {"encoder": 18_691_136, "decoder": 23_338_177, "codebook": 524_288}
    assert {name: parameters(getattr(net, name)) for name in parts} == parts
    assert parameters(net) == 42_553_601


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": [64, 64]}, "channels=[64, 64]: 5 widths, each a positive multiple of norm_groups=32"),
        ({"norm_groups": 24}, "channels=[64, 64, 128, 256, 512]: 5 widths, each a positive multiple of norm_groups=24"),
        ({"num_codes": 0}, "num_codes=0: a positive integer"),
        ({"code_dim": 1.5}, "code_dim=1.5: a positive integer"),
    ],
)
def test_options_that_do_not_fit_are_named(options, message):
    with pytest.raises(ValueError) as refused:
        VQGAN.check_options(**options)
    assert str(refused.value) == message
