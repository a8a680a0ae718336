"""Encoding each section once while windows slide along a stack."""

import pytest
import torch
from tiny_stages import tiny_network

from gpemsr.volume.section_cache import SectionCache


@pytest.fixture
def net():
    return tiny_network(3).eval()


@pytest.fixture
def encoded(net, monkeypatch) -> list[int]:
    """Numbers of sections of each call of ``encode_sections``."""
    calls = []
    encode = net.encode_sections
    monkeypatch.setattr(net, "encode_sections", lambda lq: (calls.append(lq.shape[1]), encode(lq))[1])
    return calls


def windows(stack: torch.Tensor) -> list[torch.Tensor]:
    """The windows of three of a stack (1, n, 1, h, w), edge sections repeated."""
    n = stack.shape[1]
    return [stack[:, [min(max(z + offset, 0), n - 1) for offset in (-1, 0, 1)]] for z in range(n)]


def test_each_section_is_encoded_once_and_the_result_is_the_forwards(net, encoded):
    stack = torch.rand(1, 6, 1, 8, 12)
    cache = SectionCache(net)
    results = [cache.reconstruct(window) for window in windows(stack)]
    assert encoded == [1] * 6
    with torch.no_grad():
        for result, window in zip(results, windows(stack), strict=True):
            torch.testing.assert_close(result, net(window), rtol=1e-5, atol=1e-5)


def test_no_more_sections_are_kept_than_a_window_has(net):
    cache = SectionCache(net)
    for window in windows(torch.rand(1, 6, 1, 4, 4)):
        cache.reconstruct(window)
    assert len(cache.sections) == 3


def test_a_section_that_comes_back_late_is_encoded_again(net, encoded):
    cache = SectionCache(net, capacity=1)
    a, b = torch.rand(2, 1, 1, 4, 4)
    for section in (a, a, b, a):
        cache.encode(section)
    assert encoded == [1, 1, 1]


def test_blank_sections_of_two_sizes_are_not_mixed_up(net):
    cache = SectionCache(net)
    assert cache.reconstruct(torch.zeros(1, 3, 1, 4, 8)).shape == (1, 1, 32, 64)
    assert cache.reconstruct(torch.zeros(1, 3, 1, 8, 4)).shape == (1, 1, 64, 32)


def test_no_gradients_are_kept(net):
    assert not SectionCache(net).reconstruct(torch.rand(1, 3, 1, 4, 4)).requires_grad
