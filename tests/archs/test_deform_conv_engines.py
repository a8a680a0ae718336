"""mmcv's deformable convolution and torchvision's compute the same; where mmcv has no operators, skipped."""

import pytest
import torch
from fill import TOLERANCE, deviations, filled_network, load_outputs, report

import gpemsr

gpemsr.register()
from gpemsr.archs.deform_conv import DeformConv, mmcv_has_ops  # noqa: E402

pytestmark = pytest.mark.skipif(not mmcv_has_ops(), reason="mmcv has no compiled operators here (mmcv._ext is absent)")


def run(engine: str, monkeypatch, device: str) -> list[torch.Tensor]:
    """Output and gradients of one layer under ``engine``, from one seed."""
    monkeypatch.setenv("GPEMSR_DCN", engine)
    torch.manual_seed(0)
    layer = DeformConv(16, 16, deformable_groups=4)
    assert layer.engine == engine
    torch.nn.init.normal_(layer.conv_offset.weight, std=0.1)  # offsets of a few pixels
    x, offset_feat = (torch.randn(2, 16, 9, 13, device=device, requires_grad=True) for _ in range(2))
    result = layer.to(device)(x, offset_feat)
    result.square().mean().backward()
    return [result, x.grad, offset_feat.grad, layer.weight.grad, layer.conv_offset.weight.grad]


DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


@pytest.mark.parametrize("device", DEVICES)
def test_engines_agree_in_output_and_gradients(monkeypatch, device):
    pairs = zip(run("mmcv", monkeypatch, device), run("torchvision", monkeypatch, device), strict=True)
    for ours, other in pairs:
        assert float((ours - other).abs().max() / other.abs().max()) < 1e-5


def test_alignment_with_mmcv_is_the_authors(monkeypatch):
    monkeypatch.setenv("GPEMSR_DCN", "mmcv")
    expected = load_outputs("gpemsr_x8")
    net = filled_network("gpemsr_x8")
    with torch.no_grad():
        aligned = net.align_window(net.encode_sections(torch.from_numpy(expected["input"])))
    figures = deviations({"aligned_fea_c8": aligned[:, :, ::8]}, expected)
    report("mmcv", figures)
    assert figures["aligned_fea_c8"] < TOLERANCE
