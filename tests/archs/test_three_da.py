"""3DA: fusion of the aligned sections."""

import pytest
import torch
from tiny_stages import without_gradient
from torch import nn

from gpemsr.archs.three_da import SectionMixer, ThreeDAFusion
from gpemsr.compat import importable_basicsr

with importable_basicsr():
    from basicsr.archs.edvr_arch import TSAFusion


@pytest.fixture
def fusion() -> ThreeDAFusion:
    torch.manual_seed(0)
    return ThreeDAFusion(num_feat=8, num_frame=3, center_frame_idx=1)


@pytest.mark.parametrize(("h", "w"), [(4, 4), (8, 12), (4, 132)])
def test_a_stack_becomes_one_map(fusion, h, w):
    fused = fusion(torch.randn(2, 3, 8, h, w))
    assert fused.shape == (2, 8, h, w)
    assert fused.isfinite().all()


def test_every_parameter_gets_a_gradient(fusion):
    fusion(torch.randn(1, 3, 8, 8, 8)).square().mean().backward()
    assert without_gradient(fusion) == []


def test_sections_are_weighed_by_their_correlation_with_the_centre(fusion):
    for embedding in (fusion.temporal_attn1, fusion.temporal_attn2):
        nn.init.dirac_(embedding.weight)
        nn.init.zeros_(embedding.bias)
    stack = torch.randn(1, 3, 8, 4, 4)
    stack[:, 0], stack[:, 2] = -stack[:, 1], 0  # opposite to the centre, and unlike it
    weights = fusion.weigh_sections(stack)[:, :2] / stack[:, :2]
    square = stack[:, 1].square().sum(1, keepdim=True).expand(-1, 8, -1, -1)
    torch.testing.assert_close(weights[:, 0], (-square).sigmoid(), rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(weights[:, 1], square.sigmoid())


def test_without_its_3d_branches_and_skip_it_is_edvrs_fusion(fusion):
    theirs = TSAFusion(num_feat=8, num_frame=3, center_frame_idx=1)
    theirs.load_state_dict({k: v for k, v in fusion.state_dict().items() if k in theirs.state_dict()})
    for layer in (fusion.mixer1.fuse, fusion.mixer2.fuse, fusion.feat_skip):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    stack = torch.randn(2, 3, 8, 8, 12)
    torch.testing.assert_close(fusion(stack), theirs(stack.clone()))


def test_the_mixer_mixes_sections_per_pixel():
    mixer = SectionMixer(num_feat=2, num_frame=3)
    stack = torch.randn(1, 3, 2, 4, 4)
    mixed = torch.einsum("st,btchw->bschw", mixer.mix.weight[:, :, 0, 0, 0], stack) + mixer.mix.bias.view(1, 3, 1, 1, 1)
    expected = mixer.lrelu(mixer.fuse(mixer.lrelu(mixed).flatten(1, 2)))
    torch.testing.assert_close(mixer(stack), expected)
