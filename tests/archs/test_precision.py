"""Networks in bf16: images stay float32, and results close to those in fp32."""

import pytest
import torch
from fill import DEVICES, filled_network, load_outputs

from gpemsr.archs.gpemsr_arch import GPEMSR, SectionFeatures
from gpemsr.archs.precision import in_precision


@pytest.fixture(scope="module", params=DEVICES)
def net(request) -> GPEMSR:
    return filled_network("gpemsr_x8").to(request.param)


@pytest.fixture(scope="module")
def lq(net) -> torch.Tensor:
    return torch.from_numpy(load_outputs("gpemsr_x8")["input"])[..., :16, :16].to(net.conv_first.weight.device)


@pytest.fixture(scope="module")
def sections(net, lq) -> SectionFeatures:
    with torch.no_grad():
        return net.encode_sections(lq)


def test_fp32_is_the_network_itself(net, lq):
    assert in_precision(net, "fp32", lq.device) is net


@torch.no_grad()
def test_sections_encoded_in_bf16_are_close_to_those_in_fp32(net, lq, sections):
    encoded = in_precision(net, "bf16", lq.device).encode_sections(lq)
    assert encoded.fused.dtype == torch.bfloat16
    assert 0 < deviation(encoded.feat, sections.feat) < 0.02
    assert (encoded.codes == sections.codes).float().mean() > 0.9  # these random weights have many near ties


@torch.no_grad()
def test_reconstruction_in_bf16_is_close_to_that_in_fp32(net, lq, sections):
    sr = in_precision(net, "bf16", lq.device).reconstruct(sections)
    assert sr.dtype == torch.float32
    assert 0 < deviation(sr, net.reconstruct(sections)) < 0.03


def deviation(a: torch.Tensor, b: torch.Tensor) -> float:
    """Root of the mean square of the difference over that of ``b``."""
    return ((a - b).square().mean() / b.square().mean()).sqrt().item()


def test_flow_in_bf16_is_float32_and_close_to_that_in_fp32(net, lq):
    expected = net.estimate_flow(lq[:, 0], lq[:, 2])
    with torch.autocast(lq.device.type, torch.bfloat16):
        flow = net.estimate_flow(lq[:, 0], lq[:, 2])
    assert flow.dtype == torch.float32
    assert 0 < deviation(flow, expected) < 0.02
