"""POD: pyramid, optical-flow-based deformable alignment of a neighbour to the centre section (paper, 3.4)."""

from __future__ import annotations

import torch
from basicsr.archs.edvr_arch import PCDAlignment
from torch import nn
from torch.nn import functional as F

from gpemsr.archs.blocks import conv3
from gpemsr.archs.deform_conv import DeformConv

FLOW_FEAT = 16


class FlowPyramid(nn.Module):
    """Flow at ``flow_scale`` times LR size -> flow features at LR/1, LR/2 and LR/4."""

    def __init__(self, flow_scale: int) -> None:
        super().__init__()
        self.l1 = nn.Conv2d(2, FLOW_FEAT, 3, flow_scale, 1)
        self.l2 = conv3(FLOW_FEAT, FLOW_FEAT, stride=2)
        self.l3 = conv3(FLOW_FEAT, FLOW_FEAT, stride=2)

    def forward(self, flow: torch.Tensor) -> list[torch.Tensor]:
        """(n, 2, s*h, s*w) -> three maps (n, 16, h, w), (.., h/2, w/2), (.., h/4, w/4)."""
        l1 = self.l1(flow)
        l2 = self.l2(l1)
        return [l1, l2, self.l3(l2)]


class PODAlignment(PCDAlignment):
    """EDVR's PCD alignment whose offsets also see the optical flow and the two LR sections.

    Args:
        num_feat: width of the features, a multiple of ``deformable_groups``.
        deformable_groups: groups of the deformable convolutions.
        flow_scale: size of the flow over that of the LR section.
    """

    def __init__(self, num_feat: int = 64, deformable_groups: int = 8, flow_scale: int = 4) -> None:
        super().__init__(num_feat, deformable_groups)
        for level in ("l3", "l2", "l1"):
            self.offset_conv1[level] = conv3(2 * num_feat + 2 * FLOW_FEAT + 2, num_feat)
            self.dcn_pack[level] = DeformConv(num_feat, num_feat, deformable_groups)
        self.cas_dcnpack = DeformConv(num_feat, num_feat, deformable_groups)
        self.flow_branch1 = FlowPyramid(flow_scale)
        self.flow_branch2 = FlowPyramid(flow_scale)

    def forward(
        self,
        neighbour: list[torch.Tensor],
        centre: list[torch.Tensor],
        neighbour_lq: torch.Tensor,
        centre_lq: torch.Tensor,
        flow: torch.Tensor,
        flow_back: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Align the neighbour's features to the centre's.

        Args:
            neighbour, centre: feature pyramids: (n, c, h, w), (.., h/2, w/2), (.., h/4, w/4).
            neighbour_lq, centre_lq: LR sections (n, 1, h, w).
            flow: flow neighbour -> centre (n, 2, s*h, s*w).
            flow_back: flow for the second branch; None for the same flow.

        Returns:
            Aligned features (n, c, h, w).
        """
        flows1 = self.flow_branch1(flow)
        flows2 = self.flow_branch2(flow if flow_back is None else flow_back)
        frames = frame_pyramid(torch.cat([neighbour_lq, centre_lq], dim=1))
        offset_up = feat_up = None
        for i in (2, 1, 0):
            level = f"l{i + 1}"
            offset = torch.cat([neighbour[i], centre[i], flows1[i], flows2[i], frames[i]], dim=1)
            offset = self.lrelu(self.offset_conv1[level](offset))
            if offset_up is None:
                offset = self.lrelu(self.offset_conv2[level](offset))
            else:
                offset = self.lrelu(self.offset_conv2[level](torch.cat([offset, offset_up], dim=1)))
                offset = self.lrelu(self.offset_conv3[level](offset))
            feat = self.dcn_pack[level](neighbour[i], offset)
            if feat_up is not None:
                feat = self.feat_conv[level](torch.cat([feat, feat_up], dim=1))
            if i > 0:
                feat = self.lrelu(feat)
                offset_up, feat_up = self.upsample(offset) * 2, self.upsample(feat)
        offset = self.lrelu(self.cas_offset_conv1(torch.cat([feat, centre[0]], dim=1)))
        offset = self.lrelu(self.cas_offset_conv2(offset))
        return self.lrelu(self.cas_dcnpack(feat, offset))


def frame_pyramid(frames: torch.Tensor) -> list[torch.Tensor]:
    """LR sections (n, c, h, w), halved bilinearly twice: sizes (h, w), (h/2, w/2), (h/4, w/4)."""
    pyramid = [frames]
    for _ in range(2):
        pyramid.append(F.interpolate(pyramid[-1], scale_factor=0.5, mode="bilinear", align_corners=False))
    return pyramid
