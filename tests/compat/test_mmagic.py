"""MMagic's video super-resolution networks run without its unused dependencies and without compiled operators."""

import sys
from importlib.util import find_spec

import pytest
import torch

from gpemsr.compat import load_mmagic

pytestmark = pytest.mark.skipif(find_spec("mmagic") is None, reason="the extra 'mmagic' is not installed")


@pytest.mark.parametrize(
    ("editor", "name", "options"),
    [
        ("basicvsr_plusplus_net", "BasicVSRPlusPlusNet", {"mid_channels": 8, "num_blocks": 1}),
        ("tdan", "TDANNet", {"mid_channels": 8, "num_blocks_before_align": 1, "num_blocks_after_align": 1}),
    ],
)
def test_networks_with_deformable_alignment_train_on_the_cpu(editor, name, options):
    network = getattr(load_mmagic(editor), name)(**options)
    output = network(torch.rand(1, 5, 3, 64, 64))
    output = output[0] if isinstance(output, tuple) else output
    assert output.shape[-2:] == (256, 256)
    output.mean().backward()
    aligned = [p.grad for key, p in network.named_parameters() if "align" in key and p.grad is not None]
    assert aligned and all(torch.isfinite(gradient).all() for gradient in aligned)


def test_nothing_is_left_behind():
    load_mmagic("tdan")
    import mmcv
    import numpy

    assert mmcv.__version__ != "2.1.0"
    assert not hasattr(numpy, "bool8")
    assert not {"diffusers", "albumentations"} & set(sys.modules)


def test_mmcvs_modulated_convolution_without_offsets_is_a_plain_one():
    load_mmagic("tdan")
    from mmcv.ops import ModulatedDeformConv2d

    layer = ModulatedDeformConv2d(4, 6, 3, padding=1, deform_groups=2)
    x = torch.rand(1, 4, 9, 7)
    offset, mask = torch.zeros(1, 36, 9, 7), torch.ones(1, 18, 9, 7)
    plain = torch.nn.functional.conv2d(x, layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(x, offset, mask), plain)


def test_an_unknown_editor_is_an_import_error():
    with pytest.raises(ImportError):
        load_mmagic("nope")
