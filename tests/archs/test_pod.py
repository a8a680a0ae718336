"""POD: alignment of a neighbour's features to the centre's."""

import pytest
import torch
from tiny_stages import without_gradient
from torch.nn import functional as F

from gpemsr.archs.pod import FlowPyramid, PODAlignment, frame_pyramid


def pyramid(h: int, w: int) -> list[torch.Tensor]:
    return [torch.randn(2, 8, h // 2**k, w // 2**k) for k in range(3)]


@pytest.fixture
def align() -> PODAlignment:
    torch.manual_seed(0)
    align = PODAlignment(8, deformable_groups=2, flow_scale=1)
    for name, parameter in align.named_parameters():
        if "conv_offset.weight" in name:  # zero in a new layer: nothing of the offsets' inputs would pass
            torch.nn.init.normal_(parameter, std=0.1)
    return align


@pytest.fixture
def arguments() -> list:
    torch.manual_seed(1)
    return [pyramid(8, 12), pyramid(8, 12), *torch.rand(2, 2, 1, 8, 12), torch.randn(2, 2, 8, 12)]


def test_aligned_features_have_lr_size(align, arguments):
    assert align(*arguments).shape == (2, 8, 8, 12)


def test_without_a_flow_back_both_branches_see_the_same_flow(align, arguments):
    flow = arguments[-1]
    assert torch.equal(align(*arguments), align(*arguments, flow))
    assert not torch.equal(align(*arguments), align(*arguments, -flow))


def test_every_parameter_gets_a_gradient(align, arguments):
    align(*arguments).square().mean().backward()
    assert without_gradient(align) == []


def test_features_flow_and_frames_of_every_level_matter(align, arguments):
    neighbour, centre, *others = arguments
    for x in (*neighbour, *centre, *others):
        x.requires_grad_()
    align(*arguments).square().mean().backward()
    assert all(x.grad.any() for x in (*neighbour, *centre, *others))


@pytest.mark.parametrize("flow_scale", [1, 2, 4])
def test_flow_features_have_the_sizes_of_the_lr_pyramid(flow_scale):
    maps = FlowPyramid(flow_scale)(torch.randn(1, 2, 8 * flow_scale, 12 * flow_scale))
    assert [tuple(m.shape) for m in maps] == [(1, 16, 8, 12), (1, 16, 4, 6), (1, 16, 2, 3)]


def test_frames_are_halved_by_the_mean_of_2_x_2():
    frames = torch.rand(1, 2, 8, 12)
    expected = [frames, F.avg_pool2d(frames, 2), F.avg_pool2d(frames, 4)]
    for ours, mean in zip(frame_pyramid(frames), expected, strict=True):
        torch.testing.assert_close(ours, mean)
