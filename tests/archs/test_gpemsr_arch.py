"""Stage III: sizes, streaming, frozen parts and gradients of GPEMSR."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_stages import GPEMSR as TINY
from tiny_stages import INDEXER, parameters, tiny_network, trainable, without_gradient

from gpemsr.archs import blocks
from gpemsr.archs.gpemsr_arch import GPEMSR, SectionFeatures
from gpemsr.losses.contextual_loss import ContextualLoss

FLOWS = {"spynet": {"flow": "spynet", "flow_levels": 6, "flow_scale": 4}, "train": {"flow": "train"}}
VARIANTS = [
    pytest.param({"perceptual": perceptual, **flow, "bidirectional_flow": both}, id=f"{perceptual}-{name}-{both}")
    for perceptual, (name, flow), both in itertools.product(("vgg19", "vqgan"), FLOWS.items(), (False, True))
]


@pytest.fixture(params=[8, 16], ids="x{}".format)
def net(request) -> GPEMSR:
    return tiny_network(3, request.param).eval()


def window(h: int, w: int, t: int = 3, b: int = 1) -> torch.Tensor:
    return torch.rand(b, t, 1, h, w, generator=torch.Generator().manual_seed(0))


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool((a - b).abs().max() <= 1e-5 * b.abs().max())


@settings(deadline=None, max_examples=10)
@given(st.sampled_from([8, 16]), st.integers(1, 20), st.integers(1, 20))
def test_any_size_is_enlarged_by_the_scale(scale, h, w):
    net = tiny_network(3, scale).eval()
    lq = window(h, w)
    with torch.no_grad():
        sr, again = net(lq), net(lq)
    assert sr.shape == (1, 1, scale * h, scale * w)
    assert sr.isfinite().all()
    assert torch.equal(sr, again)


@pytest.mark.slow
@pytest.mark.parametrize("scale", [8, 16])
def test_the_papers_network_takes_odd_and_small_sizes(scale):
    """Of one section, which is all that an odd size concerns; SPyNet and VGG19 with random weights."""
    torch.manual_seed(0)
    net = GPEMSR(scale, num_frame=1, vgg_weights=None, flow_weights=None).eval()
    for h, w in ((8, 8), (5, 67), (21, 18)):
        with torch.no_grad():
            sr = net(window(h, w, t=1))
        assert sr.shape == (1, 1, scale * h, scale * w)
        assert sr.isfinite().all()


@pytest.mark.parametrize("changes", VARIANTS)
def test_every_variant_takes_odd_sizes(changes):
    net = tiny_network(3, **changes).eval()
    with torch.no_grad():
        sr = net(window(5, 9))
    assert sr.shape == (1, 1, 40, 72)
    assert sr.isfinite().all()


@pytest.mark.parametrize("size", [(8, 12), (5, 9)])
def test_sections_encoded_one_by_one_give_the_forward_result(net, size):
    lq = window(*size, t=3, b=2)
    with torch.no_grad():
        parts = [net.encode_sections(section) for section in lq.split(1, dim=1)]
        assert close(net.reconstruct(SectionFeatures.cat(parts)), net(lq))


def test_windows_of_a_stack_encoded_at_once_give_the_forward_result(net):
    stack = window(8, 12, t=5)
    with torch.no_grad():
        sections = net.encode_sections(stack)
        for z in range(5):
            numbers = [min(max(z + offset, 0), 4) for offset in (-1, 0, 1)]
            assert close(net.reconstruct(sections.window(numbers)), net(stack[:, numbers]))


@torch.no_grad()
@pytest.mark.parametrize("perceptual", ["vgg19", "vqgan"])
@pytest.mark.parametrize("scale", [8, 16])
def test_sections_in_bands_give_the_result_of_whole_ones(monkeypatch, scale, perceptual):
    net, lq = tiny_network(3, scale, perceptual=perceptual).eval(), window(20, 6)
    expected = net.encode_sections(lq)
    monkeypatch.setattr(blocks, "CPU_PIXELS", 100)
    found = net.encode_sections(lq)
    for name in ("reference", "similarity", "fused"):
        assert close(getattr(found, name), getattr(expected, name)), name
    reconstructed = net.reconstruct(found)
    monkeypatch.undo()
    assert close(reconstructed, net.reconstruct(expected))


def test_items_of_a_batch_do_not_meet(net):
    lq = window(8, 12, b=2)
    with torch.no_grad():
        assert close(net(lq), torch.cat([net(item[None]) for item in lq]))


def test_what_is_told_of_sections_has_the_promised_sizes(net):
    r = net.scale
    with torch.no_grad():
        sections = net.encode_sections(window(5, 9, t=2, b=2))
    assert sections.size == (5, 9)
    assert sections.lq.shape == (2, 2, 1, 8, 12)
    assert sections.feat.shape == sections.fused.shape == (2, 2, 8, 8, 12)
    assert sections.level2.shape == (2, 2, 8, 4, 6)
    assert sections.level3.shape == (2, 2, 8, 2, 3)
    assert sections.reference.shape == (2, 2, 1, 5 * r, 9 * r)
    assert sections.codes.shape == sections.confidence.shape == (2, 2, 8 * r // 16, 12 * r // 16)
    assert sections.similarity.shape == sections.mask.shape == (2, 2, 1, 8 * r // 16, 12 * r // 16)
    assert ((sections.confidence > 0) & (sections.confidence <= 1)).all()
    assert ((sections.mask > 0) & (sections.mask < 1)).all()
    assert (sections.similarity.abs() <= 1 + 1e-5).all()


def test_the_reference_is_what_the_prior_decodes(net):
    lq = window(8, 12)
    with torch.no_grad():
        sr, reference = net(lq, return_reference=True)
        assert torch.equal(sr, net(lq))
        torch.testing.assert_close(reference[0], net.prior.prior(lq[0]).image)


def test_every_section_of_the_window_matters(net):
    lq = window(8, 8).requires_grad_()
    net(lq).square().mean().backward()
    assert all(section.any() for section in lq.grad[0])


@pytest.mark.parametrize("changes", VARIANTS)
def test_training_leaves_the_frozen_parts_in_eval_mode(changes):
    net = tiny_network(3, **changes).train()
    frozen = [net.prior, net.perceptual] + [net.flow] * (changes["flow"] == "spynet")
    assert not any(module.training for part in frozen for module in part.modules())
    assert net.fusion.training and net.flow.training == (changes["flow"] == "train")


@pytest.mark.parametrize("scale", [8, 16])
@pytest.mark.parametrize("changes", VARIANTS)
def test_one_backward_reaches_every_trainable_parameter_and_no_frozen_one(scale, changes):
    """So that distributed training needs no search for unused parameters."""
    net = tiny_network(3, scale, **changes).train()
    loss = ContextualLoss(vgg_weights=None)
    loss.extractor = torch.nn.AvgPool2d(8)
    sr, reference = net(window(4, 4), return_reference=True)
    (sr.abs().mean() + loss(sr, reference)).backward()
    assert without_gradient(net) == []
    frozen = dict(net.named_parameters()).keys() - trainable(net).keys()
    expected = {"prior": True, "perceptual": changes["perceptual"] == "vgg19", "flow": changes["flow"] == "spynet"}
    assert {name.split(".")[0] for name in frozen} == {part for part, is_frozen in expected.items() if is_frozen}
    assert all(p.grad is None for name, p in net.named_parameters() if name in frozen)


@pytest.mark.parametrize(("both", "calls"), [(False, 1), (True, 2)])
def test_the_flow_is_estimated_once_per_pair_and_direction(both, calls):
    net = tiny_network(3, bidirectional_flow=both).eval()
    pairs = []
    net.flow.register_forward_hook(lambda module, inputs, flow: pairs.append(len(flow)))
    with torch.no_grad():
        net(window(8, 8, b=2))
    assert pairs == [2 * 3] * calls


def test_the_flow_goes_from_the_neighbour_to_the_centre():
    net = tiny_network(3).eval()
    seen = []
    net.flow.register_forward_hook(lambda module, inputs, flow: seen.append(inputs))
    lq = window(8, 8)
    with torch.no_grad():
        net(lq)
    [(neighbours, centres)] = seen
    assert torch.equal(neighbours, lq[0])
    assert torch.equal(centres, lq[0, 1:2].expand(3, -1, -1, -1))


def test_the_prior_is_asked_once_per_section():
    net = tiny_network(3).eval()
    images = []
    net.prior.vqgan.decoder.register_forward_hook(lambda module, inputs, output: images.append(len(output[0])))
    with torch.no_grad():
        net(window(8, 8, b=2))
    assert images == [2 * 3]


def test_without_the_network_it_would_be_bilinear_enlargement():
    net = tiny_network(3).eval()
    torch.nn.init.zeros_(net.conv_last.weight)
    torch.nn.init.zeros_(net.conv_last.bias)
    lq = window(8, 12)
    expected = torch.nn.functional.interpolate(lq[:, 1], scale_factor=8, mode="bilinear", align_corners=False)
    with torch.no_grad():
        torch.testing.assert_close(net(lq), expected)


@pytest.mark.parametrize(("scale", "learned"), [(8, 4_573_438), (16, 5_610_430)])
def test_it_has_the_papers_size(scale, learned):
    """Learned by the authors' code, less the layers of theirs that the scale never uses."""
    with torch.device("meta"):
        net = GPEMSR(scale, vgg_weights=None, flow_weights=None)
    assert sum(p.numel() for p in trainable(net).values()) == learned
    assert parameters(net.flow) == 1_440_300
    assert parameters(net.perceptual) == 38_720
    assert net.prior.vqgan.encoder is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 4}, "scale=4: one of 8, 16"),
        ({"num_frame": 4}, "num_frame=4: an odd number of sections"),
        ({"num_feat": 0}, "num_feat=0: a positive integer"),
        ({"num_feat": 60}, "num_feat=60: a multiple of deformable_groups=8"),
        ({"perceptual": "vgg16"}, "perceptual=vgg16: one of vgg19, vqgan"),
        ({"flow": "raft"}, "flow=raft: one of spynet, train"),
        ({"flow_scale": 3}, "flow_scale=3: one of 1, 2, 4"),
        ({"flow_levels": 5}, "flow_levels=5: 6 with flow: spynet"),
        ({"flow": "train", "flow_levels": 7}, "flow_levels=7: 1 to 6 with flow: train"),
        ({"prior": {"scale": 8}}, "prior.scale: leave it out, the prior has the scale of the network"),
        ({"prior": {"num_res_blocks": 0}}, "prior.num_res_blocks=0: a positive integer"),
        ({"prior": {**INDEXER, "vqgan": {"num_codes": 0}}}, "prior.vqgan.num_codes=0: a positive integer"),
    ],
)
def test_options_that_do_not_fit_are_named(options, message):
    with pytest.raises(ValueError) as refused:
        GPEMSR.check_options(**options)
    assert str(refused.value) == message


def test_options_that_do_not_fit_are_refused_when_it_is_built_too():
    with pytest.raises(ValueError, match="num_frame=2"):
        GPEMSR(**{**TINY, "num_frame": 2})
