"""Optical flow: BasicSR's SPyNet for any size, frozen or learned."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_stages import without_gradient

from gpemsr.archs.flow import SectionFlow, build_flow
from gpemsr.compat import importable_basicsr

with importable_basicsr():
    from basicsr.archs.spynet_arch import SpyNet


@pytest.mark.parametrize("size", [(64, 64), (37, 50), (33, 131)])
def test_six_levels_are_basicsrs_spynet(size):
    torch.manual_seed(0)
    theirs, ours = SpyNet(), SectionFlow()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    with torch.no_grad():
        ref, supp = torch.rand(2, 2, 1, *size)
        expected = theirs(ref, supp)
        torch.testing.assert_close(ours(ref, supp), expected, rtol=1e-4, atol=1e-5)
    assert expected.abs().max() > 1e-3


@settings(deadline=None, max_examples=10)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 6))
def test_any_size_and_number_of_levels_gives_a_flow(h, w, levels):
    net = SectionFlow(levels)
    ref, supp = torch.rand(2, 1, 1, h, w)
    with torch.no_grad():
        flow = net(ref, supp)
        assert torch.equal(flow, net(ref, supp))
    assert flow.shape == (1, 2, h, w)
    assert flow.isfinite().all()


@pytest.mark.parametrize("levels", [1, 6])
def test_a_flow_that_is_to_be_learned_starts_from_zero(levels):
    net = build_flow("train", None, levels)
    ref, supp = torch.rand(2, 1, 1, 40, 24)
    flow = net(ref, supp)
    assert not flow.any()
    flow.sum().backward()
    assert without_gradient(net) == []
    assert all(module.basic_module[-1].weight.grad.any() for module in net.basic_module)


@pytest.mark.parametrize("with_buffers", [True, False])
def test_the_published_flow_is_loaded_and_frozen(tmp_path, with_buffers):
    """Older files lack the mean and standard deviation."""
    state = SpyNet().state_dict()
    buffers = {"mean", "std"}
    kept = {key: value for key, value in state.items() if with_buffers or key not in buffers}
    torch.save({"params": kept}, tmp_path / "spynet.pth")
    net = build_flow("spynet", str(tmp_path / "spynet.pth"), 6)
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
    assert not any(p.requires_grad for p in net.parameters())
