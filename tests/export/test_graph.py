"""The graph has nothing that ties it to a device, and deformable convolutions of standard operators."""

import io
import zipfile

import pytest
import torch
from tiny_stages import tiny_network
from torchvision.ops import deform_conv2d

from gpemsr.checkpoints.shipped import weights_file
from gpemsr.compat.sampled_convolution import sampled_at_once
from gpemsr.export import graph, package
from gpemsr.volume.network import load_network


def test_deformable_convolution_at_once_is_torchvisions():
    draw = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(*shape, generator=draw) for shape in ((3, 8, 7, 9), (6, 8, 3, 3), (6,)))
    offset = 4 * torch.randn(3, 2 * 2 * 9, 7, 9, generator=draw)
    mask = torch.rand(3, 2 * 9, 7, 9, generator=draw)
    expected = deform_conv2d(x, offset, weight, bias, padding=1, mask=mask)
    assert torch.allclose(sampled_at_once(x, offset, weight, bias, mask), expected, atol=1e-5)


def test_the_network_that_comes_with_the_package_is_exported(tmp_path):
    package.check_export(package.Export("fib25-x8", tmp_path / "net.zip"))  # without --author and --licence
    pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")
    net = load_network(None, str(weights_file("fib25-x8")), "cpu")
    graph.write_onnx(net, tmp_path / "net.onnx")
    assert package.difference(net, graph.run_onnx, tmp_path / "net.onnx") <= 1e-5


def test_torchscript_runs_on_any_device(exported):
    with zipfile.ZipFile(exported.path) as archive:
        inlined = str(torch.jit.load(io.BytesIO(archive.read("torchscript.pt"))).inlined_graph)
    assert "aten::grid_sampler" in inlined
    assert "Device = prim::Constant" not in inlined and "deform_conv2d" not in inlined


@pytest.mark.parametrize(("scale", "levels", "expected"), [(1, 2, 4), (1, 5, 16), (4, 6, 8)])
def test_sizes_are_multiples_of_what_padding_would_give(scale, levels, expected):
    net = tiny_network(3, flow_scale=scale, flow_levels=levels)
    assert graph.size_step(net) == expected
