"""The weights that training GPEMSR starts from."""

from __future__ import annotations

from typing import Any

import torch
from basicsr.archs.arch_util import ResidualBlockNoBN
from torch import nn

from gpemsr.archs.deform_conv import DeformConv

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d)
SPATIAL_ATTENTION = "fusion.spatial_attn"  # logits of sigmoids: PyTorch's small weights
MEAN_GREY = 0.5
CONTRAST = 4.0  # sections have a standard deviation of about 1/8
QUIET = {"conv_hr": 0.3, "conv_last": 0.01}  # nearly the bilinear image at first
SUMMED = {f"fusion.{name}": 0.5 for name in ("mixer1.fuse", "mixer2.fuse", "feat_skip")}  # added to the fused features
PASSED_ON = 0.3  # random weights added to the identity


@torch.no_grad()
def start_weights(net: Any, own_start: tuple[str, ...]) -> None:
    """Start close to the bilinear image, with every section's LR features passed on to the last layers.

    Adam moves each weight by the learning rate, however small its gradient. As long as the last layers are random, it
    pays to make their input smaller, and the layers before have the leverage to do so within some ten steps: sums over
    hundreds of correlated inputs, sigmoids of such sums, products of both. They shut the attention over sections or
    shrink the features to nothing, and no gradient brings them back. So there is little at first that would pay to
    shut:

    - the fusion of the prior starts with the LR features alone (:meth:`MultiScalePriorFusion.start_quiet`);
    - alignment starts near the identity, and fusion near the centre section;
    - the attention over sections is a similarity: both of its embeddings start with the same weights, so that the
      correlation of like features is positive, and remains so while both move alike.

    The first convolution cancels the mean grey value; the others have He's start, without biases. Residual blocks and
    offsets of deformable convolutions keep BasicSR's start, attention over space PyTorch's.

    Args:
        net: :class:`~gpemsr.archs.gpemsr_arch.GPEMSR`.
        own_start: prefixes of the modules that have their own start.
    """
    kept = {id(m) for block in net.modules() if isinstance(block, ResidualBlockNoBN) for m in block.modules()}
    for name, module in net.named_modules():
        if name.startswith(own_start) or id(module) in kept or name.endswith("conv_offset"):
            continue
        if isinstance(module, (*CONVOLUTIONS, DeformConv)):
            if isinstance(module, nn.ConvTranspose2d):  # of its taps a pixel sees one in four
                nn.init.normal_(module.weight, std=(2 * 4 / (module.in_channels * module.weight[0, 0].numel())) ** 0.5)
            elif not name.startswith(SPATIAL_ATTENTION):
                nn.init.kaiming_normal_(module.weight)
            module.weight.mul_(QUIET.get(name, SUMMED.get(name, 1.0)))
            module.bias.zero_()
    first = net.conv_first
    first.weight.mul_(CONTRAST)
    first.bias.copy_(-MEAN_GREY * first.weight.sum((1, 2, 3)))
    net.mpf.start_quiet()
    for module in net.align.modules():
        if isinstance(module, DeformConv):
            pass_on(module.weight, 2.0)  # its mask starts at 1/2
    for module in net.align.feat_conv.values():
        pass_on(module.weight)  # the first inputs are of its own level
    fuse, embeddings = net.fusion.feat_fusion, (net.fusion.temporal_attn1, net.fusion.temporal_attn2)
    pass_on(fuse.weight, 2.0, first=net.centre * fuse.out_channels)  # the attention starts at about 1/2
    similarity = embeddings[0].weight
    similarity.mul_(0.2 * similarity.shape[0] ** -0.25)  # correlations of about 0.1 for features of the size of one
    embeddings[1].weight.copy_(similarity)


def pass_on(weight: torch.Tensor, gain: float = 1.0, first: int = 0) -> None:
    """Turn He's weights (out, in, k, k) into ``gain`` times the inputs from ``first`` on, and a little of all."""
    identity = torch.zeros_like(weight)
    nn.init.dirac_(identity[:, first : first + len(weight)])
    weight.mul_(PASSED_ON).add_(identity, alpha=gain)
