"""GPEMSR computes what the authors' code computes, at both scales, and slips would show.

The networks have the paper's size; each is made once for this file.
"""

import copy
from unittest import mock

import pytest
import torch
from fill import DEVICES, TOLERANCE, deviations, filled_network, load_outputs, report
from torch.utils.hooks import RemovableHandle

from gpemsr.archs.gpemsr_arch import GPEMSR, SectionFeatures

ITEMS = (
    *("codes", "mask_cosine", "mask", "front_fea_c16", "L1_fea_c8", "L2_fea_c16", "L3_fea_c16"),
    *("flow_s4", "aligned_fea_c8", "fea_c4", "recon_c8", "SR"),
)
REFERENCE = {8: "ref_img_s2", 16: "ref_img_s4"}


@pytest.fixture(scope="module")
def net_x8() -> GPEMSR:
    return filled_network("gpemsr_x8")


@pytest.fixture(scope="module", params=(8, 16), ids="x{}".format)
def net(request, net_x8) -> GPEMSR:
    return net_x8 if request.param == 8 else filled_network("gpemsr_x16")


@pytest.fixture(scope="module", params=DEVICES)
def figures(request, net) -> dict[str, float]:
    items = compare(net if request.param == "cpu" else copy.deepcopy(net).to(request.param))
    report(f"GPEMSR x{net.scale}, {request.param}", items)
    return items


@pytest.fixture(scope="module")
def sections_x8(net_x8) -> SectionFeatures:
    with torch.no_grad():
        return net_x8.encode_sections(lq_of(net_x8))


def lq_of(net: GPEMSR) -> torch.Tensor:
    return torch.from_numpy(load_outputs(f"gpemsr_x{net.scale}")["input"]).to(net.conv_first.weight.device)


@torch.no_grad()
def compare(net: GPEMSR, sections: SectionFeatures | None = None) -> dict[str, float]:
    """Deviation of everything that the fixture holds of the full network, in one pass."""
    if sections is None:
        sections = net.encode_sections(lq_of(net))
    parts: dict[str, torch.Tensor] = {}

    def keep(part: str) -> RemovableHandle:
        """Put the first output of a part of the network into ``parts``."""

        def hook(_module, _inputs, output) -> None:
            parts.setdefault(part, output)

        return getattr(net, part).register_forward_hook(hook)

    hooks = [keep(part) for part in ("flow", "align", "fusion", "reconstruction")]
    sr = net.reconstruct(sections)
    for hook in hooks:
        hook.remove()
    step = int(REFERENCE[net.scale][-1])
    items = {
        REFERENCE[net.scale]: sections.reference[..., ::step, ::step],
        "codes": sections.codes[0],
        "mask_cosine": sections.similarity[0],
        "mask": sections.mask[0],
        "front_fea_c16": sections.feat[0, :, ::16],
        "L1_fea_c8": sections.fused[0, :, ::8],
        "L2_fea_c16": sections.level2[0, :, ::16],
        "L3_fea_c16": sections.level3[0, :, ::16],
        "flow_s4": parts["flow"][None, ..., ::4, ::4],
        "aligned_fea_c8": parts["align"][None, :, ::8],
        "fea_c4": parts["fusion"][:, ::4],
        "recon_c8": parts["reconstruction"][:, ::8],
        "SR": sr,
    }
    return deviations(items, load_outputs(f"gpemsr_x{net.scale}"))


@pytest.mark.parametrize("item", ITEMS)
def test_item_is_the_authors(figures, item):
    assert figures[item] < TOLERANCE


def test_reference_image_is_the_authors(net, figures):
    assert figures[REFERENCE[net.scale]] < TOLERANCE


@torch.no_grad()
def test_sections_encoded_one_by_one_give_the_windowed_result(net):
    edge = [0, 0, 0, 1, 2]  # the window of a stack's first section
    lq = lq_of(net)[:, :3, :, :12, :12]
    windowed = net(lq[:, edge])
    sections = SectionFeatures.cat([net.encode_sections(section) for section in lq.split(1, dim=1)])
    streamed = net.reconstruct(sections.window(edge))
    deviation = float((streamed - windowed).abs().max() / windowed.abs().max())
    report(f"streamed x{net.scale}", {"SR": deviation})
    assert deviation <= 1e-5


def reversed_flow(net):
    right = net.estimate_flow
    return mock.patch.object(net, "estimate_flow", lambda neighbour, centre: right(centre, neighbour))


def constant_mask(net):
    right = net.mpf.mask.forward
    return mock.patch.object(net.mpf.mask, "forward", lambda similarity: torch.full_like(right(similarity), 0.5))


def normalised_vgg_input(net):
    return mock.patch.object(net.perceptual, "normalize", True)


def wrong_codes(net):
    right = net.prior.forward
    return mock.patch.object(net.prior, "forward", lambda lq: right(lq).roll(1, dims=1))


def swapped_pair(net):
    right = net.align.forward

    def forward(neighbour, centre, neighbour_lq, centre_lq, *flows):
        return right(neighbour, centre, centre_lq, neighbour_lq, *flows)

    return mock.patch.object(net.align, "forward", forward)


def flow_both_ways(net):
    return mock.patch.object(net, "bidirectional_flow", True)


SLIPS = {
    constant_mask: "mask",
    normalised_vgg_input: "mask_cosine",
    wrong_codes: "codes",
    reversed_flow: "flow_s4",
    flow_both_ways: "aligned_fea_c8",
    swapped_pair: "aligned_fea_c8",
}
OF_ALIGNMENT = (reversed_flow, flow_both_ways, swapped_pair)  # sections are encoded as ever


@pytest.mark.parametrize(("slip", "item"), SLIPS.items(), ids=[slip.__name__ for slip in SLIPS])
def test_slip_fails_the_comparison(net_x8, sections_x8, slip, item):
    with slip(net_x8):
        figures = compare(net_x8, sections_x8 if slip in OF_ALIGNMENT else None)
    report(slip.__name__, figures)
    assert figures[item] > 10 * TOLERANCE
    assert figures["SR"] > 10 * TOLERANCE


def test_reversed_sections_fail_the_comparison(net_x8, sections_x8):
    figures = compare(net_x8, sections_x8.window([4, 3, 2, 1, 0]))
    report("sections reversed", figures)
    assert figures["codes"] > TOLERANCE
    assert figures["SR"] > 10 * TOLERANCE
