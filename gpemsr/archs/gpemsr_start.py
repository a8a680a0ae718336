"""The weights that training GPEMSR starts from."""

from __future__ import annotations

import torch
from basicsr.archs.arch_util import ResidualBlockNoBN
from torch import nn

from gpemsr.archs.deform_conv import DeformConv

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d)
ATTENTION = ("fusion.temporal_attn", "fusion.spatial_attn")  # logits of sigmoids: PyTorch's small weights
MEAN_GREY = 0.5
CONTRAST = 4.0  # sections have a standard deviation of about 1/8
QUIET = {
    # or the first steps of Adam shut the sigmoid that weighs the sections, and no gradient opens it again
    "fusion.temporal_attn1": 0.3,
    "fusion.temporal_attn2": 0.3,
    # all but the bilinear image at first
    "conv_hr": 0.3,
    "conv_last": 0.01,
}
# four parts that are summed
SUMMED = {f"fusion.{name}": 0.5 for name in ("feat_fusion", "mixer1.fuse", "mixer2.fuse", "feat_skip")}


@torch.no_grad()
def start_weights(net: nn.Module, own_start: tuple[str, ...]) -> None:
    """Let the signal through at the scale of one, and start close to the bilinear image.

    With PyTorch's own start each of the thirty layers in a row shrinks the signal and adds a constant; training
    then stays at the bilinear image for hundreds of iterations. Here convolutions have He's start without
    biases, the first one cancels the mean grey value, and the last ones are quiet. Residual blocks and offsets of
    deformable convolutions keep BasicSR's start, attention PyTorch's.

    Args:
        net: :class:`~gpemsr.archs.gpemsr_arch.GPEMSR`.
        own_start: prefixes of the modules that have a start of their own.
    """
    unknown = (QUIET.keys() | SUMMED.keys()) - {name for name, _ in net.named_modules()}
    assert not unknown, unknown
    kept = {id(m) for block in net.modules() if isinstance(block, ResidualBlockNoBN) for m in block.modules()}
    for name, module in net.named_modules():
        if name.startswith(own_start) or id(module) in kept or name.endswith("conv_offset"):
            continue
        if isinstance(module, DeformConv):
            nn.init.kaiming_normal_(module.weight)
            module.weight.mul_(2)  # its mask starts at 1/2
            module.bias.zero_()
        elif isinstance(module, CONVOLUTIONS):
            if isinstance(module, nn.ConvTranspose2d):  # of its taps a pixel sees one in four
                nn.init.normal_(module.weight, std=(2 * 4 / (module.in_channels * module.weight[0, 0].numel())) ** 0.5)
            elif not name.startswith(ATTENTION):
                nn.init.kaiming_normal_(module.weight)
            module.weight.mul_(QUIET.get(name, SUMMED.get(name, 1.0)))
            module.bias.zero_()
    first = net.conv_first
    first.weight.mul_(CONTRAST)
    first.bias.copy_(-MEAN_GREY * first.weight.sum((1, 2, 3)))
