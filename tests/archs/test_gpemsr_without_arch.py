"""GPEMSR without one of its parts."""

import pytest
import torch
from tiny_stages import GPEMSR as TINY
from tiny_stages import without_gradient

from gpemsr.archs.gpemsr_without_arch import PARTS, GPEMSRWithout
from gpemsr.losses.contextual_loss import ContextualLoss
from gpemsr.options.place import Place, check_call
from gpemsr.volume.section_loop import super_resolve_sections

OPTIONS = {**{key: value for key, value in TINY.items() if key != "type"}, "num_frame": 3}
LOST = {
    "prior": ("mpf.",),
    "mask": ("mpf.mask.",),
    "pod": ("align.", "flow.", "level2.", "level3."),
    "3da": ("fusion.spatial_attn",),
}


@pytest.fixture(params=PARTS)
def net(request) -> GPEMSRWithout:
    torch.manual_seed(0)
    return GPEMSRWithout(without=request.param, **OPTIONS)


def window(h: int, w: int) -> torch.Tensor:
    return torch.rand(1, 3, 1, h, w, generator=torch.Generator().manual_seed(0))


def test_it_enlarges_any_size_also_section_by_section(net):
    net.eval()
    lq = window(5, 9)
    with torch.no_grad():
        sr = net(lq)
    assert sr.shape == (1, 1, 40, 72)
    (streamed,) = super_resolve_sections(net, lq[0], range(1, 2))
    torch.testing.assert_close(streamed, sr, atol=1e-5, rtol=1e-5)


def test_the_part_has_no_weights(net):
    assert not [name for name in net.state_dict() if name.startswith(LOST[net.without])]


def test_one_backward_reaches_every_trainable_parameter(net):
    loss = ContextualLoss(vgg_weights=None)
    loss.extractor = torch.nn.AvgPool2d(8)
    sr, reference = net.train()(window(4, 4), return_reference=True)
    (sr.abs().mean() + loss(sr, reference)).backward()
    assert without_gradient(net) == []


def test_the_prior_is_not_asked_where_it_is_not_used():
    net = GPEMSRWithout(without="prior", **OPTIONS).eval()
    net.prior.register_forward_hook(pytest.fail)
    net.prior.vqgan.decoder.register_forward_hook(pytest.fail)
    with torch.no_grad():
        net(window(4, 4))


def test_neighbours_are_not_aligned_without_pod():
    net = GPEMSRWithout(without="pod", **OPTIONS).eval()
    with torch.no_grad():
        sections = net.encode_sections(window(4, 4))
        assert net.align_window(sections) is sections.fused


def test_sections_of_a_stack_matter_without_3da():
    net = GPEMSRWithout(without="3da", **OPTIONS).eval()
    lq = window(4, 4)
    changed = lq.clone()
    changed[:, 0] = 0
    with torch.no_grad():
        assert not torch.equal(net(lq), net(changed))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"without": "tsa"}, "without=tsa: one of prior, mask, pod, 3da"),
        ({"without": "pod", "num_frame": 4}, "num_frame=4: an odd number of sections"),
        ({"without": "pod", "num_feats": 4}, "num_feats: unknown"),
        ({"without": ["pod"]}, "network_g.without="),
        ({}, "network_g.without is missing"),
    ],
)
def test_options_that_do_not_fit_are_named(changes, message):
    section = {"type": "GPEMSRWithout", **OPTIONS, **changes}
    with pytest.raises(ValueError, match=message):
        check_call(GPEMSRWithout, section, Place("stage3.yml", "network_g"))
