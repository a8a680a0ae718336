"""mmcv's deformable convolution and torchvision's compute the same; where mmcv has no operators, skipped."""

import pytest
import torch
from fill import DEVICES, TOLERANCE, deviations, filled_network, load_outputs, report

import gpemsr

gpemsr.register()
from gpemsr.archs.deform_conv import DeformConv, mmcv_has_ops  # noqa: E402

pytestmark = pytest.mark.skipif(not mmcv_has_ops(), reason="mmcv has no compiled operators here (mmcv._ext is absent)")


def run(engine: str, monkeypatch, device: str, layout: torch.memory_format) -> list[torch.Tensor]:
    """Output and gradients of one layer under ``engine``, from one seed and inputs of one memory layout."""
    monkeypatch.setenv("GPEMSR_DCN", engine)
    torch.manual_seed(0)
    layer = DeformConv(16, 16, deformable_groups=4)
    assert layer.engine == engine
    torch.nn.init.normal_(layer.conv_offset.weight, std=0.1)  # offsets of a few pixels
    layer = layer.to(device, memory_format=layout)
    inputs = (torch.randn(2, 16, 9, 13, device=device).to(memory_format=layout) for _ in range(2))
    x, offset_feat = (tensor.requires_grad_() for tensor in inputs)
    result = layer(x, offset_feat)
    result.square().mean().backward()
    return [result, x.grad, offset_feat.grad, layer.weight.grad, layer.conv_offset.weight.grad]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("device", DEVICES)
def test_engines_agree_in_output_and_gradients(monkeypatch, device, layout):
    pairs = zip(run("mmcv", monkeypatch, device, layout), run("torchvision", monkeypatch, device, layout), strict=True)
    for ours, other in pairs:
        assert ((ours - other).abs().max() / other.abs().max()).item() < 1e-5


def test_alignment_with_mmcv_is_the_authors(monkeypatch):
    monkeypatch.setenv("GPEMSR_DCN", "mmcv")
    expected = load_outputs("gpemsr_x8")
    net = filled_network("gpemsr_x8")
    with torch.no_grad():
        aligned = net.align_window(net.encode_sections(torch.from_numpy(expected["input"])))
    figures = deviations({"aligned_fea_c8": aligned[:, :, ::8]}, expected)
    report("mmcv", figures)
    assert figures["aligned_fea_c8"] < TOLERANCE
