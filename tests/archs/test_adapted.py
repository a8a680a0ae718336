"""Toolbox networks adapted to sections: x4 is the toolbox's own; x8 and x16, one channel and any size are added."""

import copy
import inspect

import pytest
import torch
from baseline_networks import NAMES, RECURRENT, TINY, assert_same_result, randomise
from tiny_stages import without_gradient
from torch.nn import functional as F

import gpemsr

gpemsr.register()
from basicsr.archs import build_network  # noqa: E402
from basicsr.utils.registry import ARCH_REGISTRY  # noqa: E402

each_rival = pytest.mark.parametrize("name", NAMES)


def tiny(name: str, scale: int = 8, **changes) -> torch.nn.Module:
    return randomise(build_network({"type": name, "scale": scale, **TINY[name], **changes}))


def toolbox_network(name: str) -> torch.nn.Module:
    """The toolbox's own class, x4 and of three channels."""
    baseline = ARCH_REGISTRY.get(name)
    options = dict(TINY[name]) | {option: 3 for option in baseline.channel_options}
    if baseline.scale_option:
        options[baseline.scale_option] = 4
    return randomise(baseline.load()(**baseline.defaults | options))


@each_rival
def test_x4_with_three_channels_is_the_toolboxs_network(name):
    theirs = toolbox_network(name)
    ours = tiny(name, 4, channels=3, **({"whole_stack": True} if name in RECURRENT else {}))
    assert_same_result(ours, theirs, 64 if name == "SectionBasicVSRPlusPlus" else 40)


@each_rival
def test_x4_weights_fit_all_layers_but_those_of_the_image_and_of_the_scale(name):
    theirs, ours = toolbox_network(name).state_dict(), tiny(name, 8).state_dict()
    new = {key for key in ours if key not in theirs}
    assert all(".finer." in key or key.startswith("upsample.4.") for key in new)
    assert theirs.keys() <= ours.keys()
    other = {key for key in theirs if theirs[key].shape != ours[key].shape}
    assert 0 < len(other) <= 6
    assert len(other) < len(theirs) / 2


@each_rival
@pytest.mark.parametrize(("scale", "size"), [(8, (5, 9)), (16, (1, 2)), (16, (4, 3))], ids=str)
def test_any_size_gives_the_centre_at_the_scale(name, scale, size):
    net = tiny(name, scale)
    lq = torch.rand(2, 5, 1, *size)
    with torch.no_grad():
        sr = net(lq)
    assert sr.shape == (2, 1, scale * size[0], scale * size[1])
    assert sr.isfinite().all()


@each_rival
def test_every_parameter_gets_a_gradient(name):
    net = build_network({"type": name, "scale": 8, **TINY[name]}).train()
    net(torch.rand(1, 5, 1, 4, 4)).square().mean().backward()
    assert without_gradient(net) == []


@pytest.mark.parametrize("name", ["SectionEDSR", "SectionRCAN", "SectionSwinIR", "SectionRRDBNet"])
def test_single_image_networks_see_the_centre_section_only(name):
    net = tiny(name)
    lq = torch.rand(1, 5, 1, 6, 7)
    with torch.no_grad():
        assert torch.equal(net(lq), net(lq[:, 2]))


@pytest.mark.parametrize("name", [p for p in NAMES if p.values[0] in RECURRENT])
def test_a_whole_stack_gives_every_section_and_its_centre_is_the_windows(name):
    window, stack = tiny(name), tiny(name, whole_stack=True)
    lq = torch.rand(1, 7, 1, 3, 4)
    with torch.no_grad():
        whole = stack(lq)
        assert whole.shape == (1, 7, 1, 24, 32)
        torch.testing.assert_close(whole[:, 3], window(lq))


@pytest.mark.parametrize("name", [p for p in NAMES if p.values[0] in (*RECURRENT, "SectionEDVR")])
@pytest.mark.parametrize("scale", [8, 16], ids="x{}".format)
def test_networks_that_add_a_bilinear_image_add_it_at_the_full_scale(name, scale):
    net = tiny(name, scale)
    for parameter in net.conv_last.parameters():
        torch.nn.init.zeros_(parameter)
    lq = torch.rand(1, 5, 1, 4, 8)  # nothing is padded
    with torch.no_grad():
        expected = F.interpolate(lq[:, 2], scale_factor=scale, mode="bilinear", align_corners=False)
        assert (net(lq) - expected).abs().max() < 1e-6


@each_rival
def test_a_copy_of_a_network_works_on_its_own(name):
    net = tiny(name)
    lq = torch.rand(1, 5, 1, 3, 4)
    with torch.no_grad():
        expected = net(lq)
        other = copy.deepcopy(net)
        net(torch.rand(1, 5, 1, 4, 2))
        assert torch.equal(other(lq), expected)


@each_rival
def test_options_are_the_toolboxs_and_ours(name):
    accepted = set(inspect.signature(ARCH_REGISTRY.get(name)).parameters)
    assert {*TINY[name], "scale", "channels"} <= accepted
    assert not {"num_in_ch", "in_channels", "in_chans", "upscale"} & accepted


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("SectionEDVR", {"scale": 2}, "scale=2: one of 4, 8, 16"),
        ("SectionEDVR", {"channels": 3}, "channels=3: 1; 3 with scale: 4 only"),
        ("SectionEDVR", {"num_feat": 12}, "num_feat=12: a multiple of deformable_groups=8"),
        ("SectionIconVSR", {"num_feat": 12}, "num_feat=12: a multiple of 8"),
        ("SectionIconVSR", {"temporal_padding": 1}, "temporal_padding=1: 2 or 3"),
        ("SectionBasicVSR", {"flow_levels": 7}, "flow_levels=7: 1 to 6"),
        ("SectionEDSR", {"num_block": 0}, "num_block=0: a positive integer"),
        ("SectionRCAN", {"num_feat": 8}, "num_feat=8: a multiple of squeeze_factor=16"),
        ("SectionSwinIR", {"depths": [2, 0]}, "depths=[2, 0]: a list of positive integers"),
        ("SectionSwinIR", {"depths": [2, 2], "num_heads": [2]}, "num_heads=[2]: one number for each of depths=[2, 2]"),
        ("SectionSwinIR", {"embed_dim": 13}, "embed_dim=13: a multiple of each of num_heads=[2]"),
        ("SectionSwinIR", {"upsampler": ""}, "upsampler=: one of pixelshuffle, pixelshuffledirect"),
        ("SectionSwinIR", {"img_size": 8}, "img_size=8: more than window_size=8"),
    ],
)
def test_options_that_do_not_fit_are_named(name, options, message):
    with pytest.raises(ValueError) as refused:
        build_network({"type": name, **TINY[name], **options})
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("name", "sections", "fits"),
    [("SectionEDVR", 3, "5"), ("SectionIconVSR", 3, "at least 5"), ("SectionBasicVSR", 1, "at least 2")],
)
def test_a_window_of_another_length_is_refused(name, sections, fits):
    with pytest.raises(ValueError, match=f"num_frame={sections}: {fits} sections, which {name} works on together"):
        tiny(name)(torch.rand(1, sections, 1, 8, 8))


def test_optical_flow_starts_at_zero_or_from_a_file(tmp_path):
    path = tmp_path / "spynet.pth"
    net = tiny("SectionBasicVSR")
    torch.save({"params": net.spynet.state_dict()}, path)
    lq = torch.rand(2, 1, 1, 32, 32)
    with torch.no_grad():
        expected = net.spynet(*lq)
        assert expected.abs().max() > 0
        loaded = build_network({"type": "SectionBasicVSR", **TINY["SectionBasicVSR"], "spynet_path": str(path)})
        assert torch.equal(loaded.spynet(*lq), expected)
        assert not build_network({"type": "SectionBasicVSR", **TINY["SectionBasicVSR"]}).spynet(*lq).any()
