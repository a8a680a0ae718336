"""Super-resolving a stack: each section encoded once, the result that of the windowed forward."""

import pytest
import torch
from baseline_networks import demo_file
from tiny_stages import tiny_network

import gpemsr
from gpemsr.volume.section_loop import SlidingWindow, WindowedNetwork, section_network, super_resolve_sections

gpemsr.register()
from basicsr.archs import build_network  # noqa: E402


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


def random_stack(count: int, h: int = 8, w: int = 12) -> torch.Tensor:
    return torch.rand(count, 1, h, w, generator=torch.Generator().manual_seed(0))


def windows(stack: torch.Tensor, num_frame: int = 3) -> list[torch.Tensor]:
    """The windows (1, num_frame, 1, h, w) of a stack (n, 1, h, w), edge sections repeated."""
    half, last = num_frame // 2, len(stack) - 1
    return [stack[None, [min(max(z + i, 0), last) for i in range(-half, half + 1)]] for z in range(len(stack))]


def test_each_section_is_encoded_once_and_the_result_is_the_forwards(net, encoded):
    stack = random_stack(6)
    results = list(super_resolve_sections(net, stack))
    assert encoded == [1] * 6
    with torch.no_grad():
        for result, window in zip(results, windows(stack), strict=True):
            torch.testing.assert_close(result, net(window), rtol=1e-5, atol=1e-5)


def test_sections_of_any_size_and_a_stack_shorter_than_the_window(net):
    (result,) = super_resolve_sections(net, random_stack(1, 5, 9))
    assert result.shape == (1, 1, 40, 72)


def test_a_part_of_the_stack_is_as_in_the_whole(net, encoded):
    stack = random_stack(8)
    whole = list(super_resolve_sections(net, stack))
    encoded.clear()
    part = list(super_resolve_sections(net, stack, range(3, 6)))
    assert len(encoded) == 5  # a window's half on both sides
    assert all(torch.equal(a, b) for a, b in zip(part, whole[3:6], strict=True))
    assert list(super_resolve_sections(net, stack, range(0))) == []


def test_sections_are_read_when_their_window_comes(net):
    class Stack:
        read: list[int] = []

        def __len__(self) -> int:
            return 9

        def __getitem__(self, index: int) -> torch.Tensor:
            self.read.append(index)
            return random_stack(9)[index]

    results = super_resolve_sections(net, Stack())
    next(results)
    assert Stack.read == [0, 1]
    next(results)
    assert Stack.read == [0, 1, 2]


@pytest.mark.parametrize("file", ["edvr", "basicvsr", "swinir"])
def test_a_network_with_a_forward_alone_goes_along_the_stack_too(file):
    torch.manual_seed(0)
    net = build_network(demo_file(file, 8)["network_g"]).eval()
    stack = random_stack(3, 8, 8)
    results = super_resolve_sections(section_network(net, 5), stack)
    with torch.no_grad():
        for result, window in zip(results, windows(stack, 5), strict=True):
            torch.testing.assert_close(result, net(window), rtol=1e-5, atol=1e-5)


def test_only_a_network_without_the_two_calls_gets_an_adapter(net):
    assert section_network(net, 3) is net
    assert isinstance(section_network(torch.nn.Identity(), 3), WindowedNetwork)


def test_no_more_sections_are_kept_than_a_window_has(net, encoded):
    window = SlidingWindow(net)
    stack = random_stack(6, 4, 4)
    for z in range(1, 5):
        window.encode([z - 1, z, z + 1], stack.__getitem__)
        assert set(window.encoded) == {z - 1, z, z + 1}


def test_a_section_that_comes_back_late_is_encoded_again(net, encoded):
    window = SlidingWindow(net)
    stack = random_stack(2, 4, 4)
    for index in (0, 0, 1, 0):
        window.encode([index], stack.__getitem__)
    assert encoded == [1, 1, 1]


def test_no_gradients_are_kept(net):
    assert not next(super_resolve_sections(net, random_stack(3, 4, 4))).requires_grad
