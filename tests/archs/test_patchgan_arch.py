"""The patch discriminator of stage I."""

import pytest
import torch
from tiny_stages import parameters, without_gradient

from gpemsr.archs.patchgan_arch import PatchDiscriminator


@pytest.mark.parametrize(("size", "scores"), [(70, 1), (77, 1), (78, 2), (96, 4), (128, 8)])
def test_it_scores_patches_of_70_pixels_every_8(size, scores):
    net = PatchDiscriminator([4, 4, 4, 4])
    assert net(torch.rand(2, 1, size, 70)).shape == (2, 1, scores, 1)


def test_it_needs_a_whole_patch():
    with pytest.raises(RuntimeError):
        PatchDiscriminator([4, 4, 4, 4])(torch.rand(1, 1, 69, 70))


def test_every_parameter_gets_a_gradient():
    net = PatchDiscriminator([4, 4, 4, 4])
    net(torch.rand(1, 1, 96, 96)).mean().backward()
    assert without_gradient(net) == []


def test_it_has_the_papers_size():
    assert parameters(PatchDiscriminator()) == 2_761_793


def test_widths_that_do_not_fit_are_named():
    with pytest.raises(ValueError) as refused:
        PatchDiscriminator.check_options(channels=[64, 128, 256])
    assert str(refused.value) == "channels=[64, 128, 256]: 4 widths, each positive"
