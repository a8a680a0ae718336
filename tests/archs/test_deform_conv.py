"""Deformable convolution: BasicSR's layout and result, and the choice of the engine."""

from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torchvision.ops import deform_conv2d

from gpemsr.archs import deform_conv
from gpemsr.archs.deform_conv import DeformConv, choose_engine, sampled_deform_conv2d
from gpemsr.compat import importable_basicsr, sampled_convolution

with importable_basicsr():
    from basicsr.archs.arch_util import DCNv2Pack


@pytest.fixture
def layer(monkeypatch) -> DeformConv:
    monkeypatch.setenv("GPEMSR_DCN", "torchvision")
    torch.manual_seed(0)
    return DeformConv(8, 12, deformable_groups=2)


def test_state_dict_and_output_are_basicsrs(layer):
    theirs = DCNv2Pack(8, 12, 3, padding=1, deformable_groups=2)
    torch.nn.init.normal_(layer.conv_offset.weight, std=0.1)
    theirs.load_state_dict(layer.state_dict(), strict=True)
    x, offset_feat = torch.randn(2, 2, 8, 5, 7)
    torch.testing.assert_close(layer(x, offset_feat), theirs(x, offset_feat))


def test_a_new_layer_is_half_a_convolution(layer):
    """Offsets start at 0, masks at sigmoid(0)."""
    x, offset_feat = torch.randn(2, 1, 8, 5, 7)
    half = F.conv2d(x, layer.weight / 2, layer.bias, padding=1)
    torch.testing.assert_close(layer(x, offset_feat), half, rtol=1e-4, atol=1e-5)


def test_an_offset_of_one_pixel_moves_the_image(layer):
    taps = 2 * 3 * 3  # of both deformable groups; offsets alternate y, x
    with torch.no_grad():
        layer.conv_offset.bias[: 2 * taps : 2] = 1
    x = torch.randn(1, 8, 6, 7)
    below = F.pad(x[:, :, 1:], (0, 0, 0, 1))
    expected = F.conv2d(below, layer.weight / 2, layer.bias, padding=1)
    inner = (slice(None), slice(None), slice(1, -2))  # away from the border that moved in
    torch.testing.assert_close(layer(x, torch.zeros_like(x))[inner], expected[inner], rtol=1e-4, atol=1e-5)


def test_offsets_masks_and_weights_learn(layer):
    torch.nn.init.normal_(layer.conv_offset.weight, std=0.1)
    layer(torch.randn(1, 8, 5, 7), torch.randn(1, 8, 5, 7)).square().mean().backward()
    assert all(p.grad.any() for p in layer.parameters())


@settings(deadline=None, max_examples=25)
@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(0, 99),
    st.sampled_from([12, 2**12]),
)
def test_training_on_a_cpu_computes_what_torchvision_does(h, w, groups, b, seed, pixels):
    """Output and all gradients, for samples inside and outside of the image; in bands of rows too."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(b, 6, h, w), (b, groups * 18, h, w), (4, 6, 3, 3), (4,), (b, groups * 9, h, w)]
    x, offset, weight, bias, mask = (torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes)
    inputs = [tensor.requires_grad_() for tensor in (x, 2 * offset.detach(), weight, bias, mask)]
    with mock.patch.object(sampled_convolution, "PIXELS", pixels):
        ours = sampled_deform_conv2d(*inputs)
    theirs = deform_conv2d(*inputs[:4], padding=1, mask=inputs[4])
    torch.testing.assert_close(ours, theirs)
    towards = torch.randn(ours.shape, generator=generator, dtype=torch.float64)
    pairs = zip(torch.autograd.grad(ours, inputs, towards), torch.autograd.grad(theirs, inputs, towards), strict=True)
    for our_gradient, their_gradient in pairs:
        torch.testing.assert_close(our_gradient, their_gradient)


@pytest.mark.parametrize(
    ("wanted", "has_ops", "engine"),
    [
        ("", False, "torchvision"),
        ("", True, "mmcv"),
        ("torchvision", True, "torchvision"),
        ("torchvision", False, "torchvision"),
        ("mmcv", True, "mmcv"),
    ],
)
def test_the_engine_is_the_one_asked_for_or_the_best_there_is(monkeypatch, wanted, has_ops, engine):
    monkeypatch.setenv("GPEMSR_DCN", wanted)
    monkeypatch.setattr(deform_conv, "mmcv_has_ops", lambda: has_ops)
    assert choose_engine() == engine


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("cuda", "GPEMSR_DCN=cuda: one of mmcv, torchvision"),
        ("mmcv", "GPEMSR_DCN=mmcv: mmcv has no compiled operators (mmcv._ext) here; use torchvision"),
    ],
)
def test_an_engine_that_is_not_there_is_refused(monkeypatch, wanted, message):
    monkeypatch.setenv("GPEMSR_DCN", wanted)
    monkeypatch.setattr(deform_conv, "mmcv_has_ops", lambda: False)
    with pytest.raises(ValueError) as refused:
        DeformConv(8, 8, 2)
    assert str(refused.value) == message
