"""3DA: fusion of aligned sections by spatial attention and 3-D convolutions (paper, section 3.4)."""

from __future__ import annotations

import torch
from basicsr.archs.edvr_arch import TSAFusion
from torch import nn


class SectionMixer(nn.Module):
    """Conv3d over the stack with the sections as channels, then a 1x1 convolution to one feature map."""

    def __init__(self, num_feat: int, num_frame: int) -> None:
        super().__init__()
        self.mix = nn.Conv3d(num_frame, num_frame, 1)
        self.fuse = nn.Conv2d(num_frame * num_feat, num_feat, 1)
        self.lrelu = nn.LeakyReLU(0.1, inplace=True)

    def forward(self, stack: torch.Tensor) -> torch.Tensor:
        """(b, t, c, h, w) -> (b, c, h, w)."""
        return self.lrelu(self.fuse(self.lrelu(self.mix(stack)).flatten(1, 2)))


class ThreeDAFusion(TSAFusion):
    """EDVR's TSA fusion with two 3-D branches on the weighted stack.

    Args:
        num_feat: width of the features.
        num_frame: sections T of the window.
        center_frame_idx: index of the centre section.
    """

    def __init__(self, num_feat: int = 64, num_frame: int = 5, center_frame_idx: int = 2) -> None:
        super().__init__(num_feat, num_frame, center_frame_idx)
        self.mixer1 = SectionMixer(num_feat, num_frame)
        self.mixer2 = SectionMixer(num_feat, num_frame)
        self.feat_skip = nn.Conv2d(num_feat, num_feat, 1)
        self.gate = nn.Sigmoid()  # a module, for training to watch it

    def weigh_sections(self, aligned: torch.Tensor) -> torch.Tensor:
        """Weight each section, per pixel, by its correlation with the centre; (b, t, c, h, w) both."""
        b, t, _, h, w = aligned.shape
        centre = self.temporal_attn1(aligned[:, self.center_frame_idx])
        embedding = self.temporal_attn2(aligned.flatten(0, 1)).view(b, t, -1, h, w)
        correlation = (embedding * centre.unsqueeze(1)).sum(2, keepdim=True)
        return aligned * self.gate(correlation)

    def pool(self, x: torch.Tensor) -> torch.Tensor:
        """Max- and average-pooled to half the size, side by side."""
        return torch.cat([self.max_pool(x), self.avg_pool(x)], dim=1)

    def spatial_attention(self, stack: torch.Tensor) -> torch.Tensor:
        """(b, t*c, h, w) -> attention logits (b, c, h, w) from a pyramid of three levels."""
        attn = self.lrelu(self.spatial_attn1(stack))
        attn = self.lrelu(self.spatial_attn2(self.pool(attn)))
        coarse = self.lrelu(self.spatial_attn_l1(attn))
        coarse = self.lrelu(self.spatial_attn_l2(self.pool(coarse)))
        coarse = self.upsample(self.lrelu(self.spatial_attn_l3(coarse)))
        attn = self.lrelu(self.spatial_attn3(attn)) + coarse
        return self.spatial_attn5(self.upsample(self.lrelu(self.spatial_attn4(attn))))

    def forward(self, aligned: torch.Tensor) -> torch.Tensor:
        """(b, t, c, h, w), h and w multiples of 4 -> (b, c, h, w)."""
        stack = self.weigh_sections(aligned)
        flat = stack.flatten(1, 2)
        feat = self.lrelu(self.feat_fusion(flat)) + self.mixer1(stack)
        attn = self.spatial_attention(flat)
        attn_add = self.spatial_attn_add2(self.lrelu(self.spatial_attn_add1(attn)))
        return feat * attn.sigmoid() * 2 + attn_add + self.mixer2(stack) + self.feat_skip(feat)
