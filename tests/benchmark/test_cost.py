"""Costs: counts that can be worked out by hand, whatever computes them."""

import pytest
import torch
from tiny_stages import tiny_network
from torch import nn
from torch.nn import functional as F

from gpemsr.archs.blocks import NonLocal
from gpemsr.archs.deform_conv import DeformConv, sampled_deform_conv2d
from gpemsr.benchmark.cost import count_macs, count_parameters, peak_memory
from gpemsr.volume.section_loop import super_resolve_sections

B, H, W = 2, 6, 5


def test_frozen_parameters_count_and_shared_ones_count_once():
    first, second = nn.Linear(3, 4), nn.Linear(4, 2)
    net = nn.Sequential(first, second, second)
    first.weight.requires_grad_(False)
    assert count_parameters(net) == 3 * 4 + 4 + 4 * 2 + 2
    assert count_parameters(net, learned_only=True) == 4 + 4 * 2 + 2


def test_peak_memory_grows_by_what_was_taken_though_it_was_given_back():
    before = peak_memory(torch.device("cpu"))
    taken = torch.ones(before // 4)  # four bytes each: more than all that was in use
    del taken
    assert before < peak_memory(torch.device("cpu")) - before // 4 < 3 * before


@pytest.mark.parametrize(
    ("module", "shape", "macs"),
    [
        (nn.Linear(7, 3), (B, 7), B * 7 * 3),
        (nn.Conv2d(4, 6, 3, padding=1), (B, 4, H, W), B * H * W * 4 * 6 * 9),
        (nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), (B, 4, H, W), B * 3 * 3 * 2 * 6 * 9),
        (nn.ConvTranspose2d(4, 6, 2, stride=2), (B, 4, H, W), B * H * W * 4 * 6 * 4),
        (nn.Conv3d(1, 2, 3, padding=1), (B, 1, 4, H, W), B * 4 * H * W * 2 * 27),
        (NonLocal(8, norm_groups=2), (B, 8, H, W), B * (4 * H * W * 8 * 8 + 2 * (H * W) ** 2 * 8)),
    ],
    ids=["linear", "convolution", "grouped", "transposed", "3d", "attention"],
)
def test_counts_are_those_worked_out_by_hand(module, shape, macs):
    assert count_macs(module, torch.rand(shape)) == macs


@pytest.mark.parametrize("layout", ["rows", "columns"])  # PyTorch takes another kernel for each
def test_attention_is_its_two_products(layout):
    q, k, v = (torch.rand(B, 3, 10, 4) for _ in range(3))
    if layout == "columns":
        q, k, v = (x.transpose(2, 3).contiguous().transpose(2, 3) for x in (q, k, v))
    assert count_macs(F.scaled_dot_product_attention, q, k, v) == B * 3 * 2 * 10 * 10 * 4


def test_deformable_convolution_is_a_convolution_and_that_of_its_offsets(monkeypatch):
    monkeypatch.setenv("GPEMSR_DCN", "torchvision")
    net = DeformConv(4, 6, deformable_groups=2)
    x = torch.rand(B, 4, H, W)
    assert count_macs(net, x, x) == B * H * W * 9 * 4 * (6 + 2 * 3 * 9)


def test_the_count_does_not_depend_on_the_engine():
    net = DeformConv(4, 6, deformable_groups=2)
    x, offset, mask = torch.rand(B, 4, H, W), torch.rand(B, 36, H, W), torch.rand(B, 18, H, W)

    def by_torchvision():
        return torch.ops.torchvision.deform_conv2d(x, net.weight, offset, mask, net.bias, 1, 1, 1, 1, 1, 1, 1, 2, True)

    def by_sampling():
        return sampled_deform_conv2d(x, offset, net.weight, net.bias, mask)

    def as_mmcv_does():
        columns = torch.rand(4 * 9, H * W)
        for _ in range(B):
            torch.zeros(6, H * W).addmm_(net.weight.flatten(1), columns)

    assert {count_macs(f) for f in (by_torchvision, by_sampling, as_mmcv_does)} == {B * H * W * 9 * 4 * 6}


def test_products_added_in_place_count():
    a, b, c = torch.rand(B, 3, 4), torch.rand(B, 4, 5), torch.zeros(B, 3, 5)
    assert count_macs(c.baddbmm_, a, b) == B * 3 * 4 * 5


def test_sections_that_were_encoded_before_are_not_counted_again():
    net = tiny_network(3).eval()
    stack = torch.rand(3, 1, 8, 8)
    results = super_resolve_sections(net, stack, range(1, 3))
    first, second = (count_macs(next, results) for _ in range(2))
    assert first == count_macs(net, stack[None]) > second > 0


def test_gradients_are_left_as_they_were():
    seen = []
    count_macs(lambda: seen.append(torch.is_grad_enabled()))
    assert seen == [False] and torch.is_grad_enabled()
