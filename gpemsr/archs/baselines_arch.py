"""Networks to compare GPEMSR with: those of BasicSR and MMagic, adapted to sections, and bicubic interpolation."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import SimpleNamespace

import torch
from basicsr.utils.matlab_functions import imresize
from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn

from gpemsr.archs.adapted import RECURRENT, WINDOW, Baseline, centre
from gpemsr.archs.blocks import pad_to_multiple
from gpemsr.compat import load_mmagic

TDAN_SECTIONS = 5


def basicsr(module: str, name: str) -> Callable[[], type[nn.Module]]:
    """How to load a class of BasicSR."""
    return lambda: getattr(importlib.import_module(f"basicsr.archs.{module}"), name)


def mmagic(editor: str, name: str) -> Callable[[], type[nn.Module]]:
    """How to load a class of MMagic."""
    return lambda: getattr(load_mmagic(editor), name)


def check_key_frames(options: SimpleNamespace) -> None:
    """The toolbox extends stacks at their ends for windows of five or seven."""
    if options.temporal_padding not in (2, 3):
        raise ValueError(f"temporal_padding={options.temporal_padding}: 2 or 3")


def check_swinir(options: SimpleNamespace) -> None:
    """Depths and heads go together, and the upsampler must enlarge by the scale."""
    fits = ("pixelshuffle", "pixelshuffledirect")
    if options.upsampler not in fits:
        raise ValueError(f"upsampler={options.upsampler}: one of {', '.join(fits)}")
    if len(options.num_heads) != len(options.depths):
        raise ValueError(f"num_heads={options.num_heads}: one number for each of depths={options.depths}")
    for heads in options.num_heads:
        if options.embed_dim % heads:
            raise ValueError(f"embed_dim={options.embed_dim}: a multiple of each of num_heads={options.num_heads}")
    if options.img_size <= options.window_size:
        raise ValueError(f"img_size={options.img_size}: more than window_size={options.window_size}")


class WithSmallSections(nn.Module):
    """Lets BasicVSR++ work on less than 64 x 64 pixels, which it refuses for its own optical flow's sake.

    It is given padded sections and looks at their unpadded part only.
    """

    def forward(self, lqs: torch.Tensor) -> torch.Tensor:
        """(b, t, c, h, w) -> (b, t, c, 4*h, 4*w)."""
        self.size = lqs.shape[-2:]
        with self.feat_extract.register_forward_pre_hook(lambda _, inputs: (self.cut(inputs[0]),)):
            return super().forward(pad_to_multiple(lqs, 1, least=64))

    def cut(self, x: torch.Tensor) -> torch.Tensor:
        """The unpadded part."""
        h, w = self.size
        return x[..., :h, :w]

    def compute_flow(self, lqs: torch.Tensor) -> tuple:
        """MMagic's, of the unpadded part."""
        return super().compute_flow(self.cut(lqs))

    def upsample(self, lqs: torch.Tensor, feats: dict) -> torch.Tensor:
        """MMagic's, of the unpadded part."""
        return super().upsample(self.cut(lqs), feats)


IN_OUT = ("num_in_ch", "num_out_ch")
BASELINES = [
    Baseline(
        "SectionEDVR",
        basicsr("edvr_arch", "EDVR"),
        takes=WINDOW,
        channel_options=IN_OUT,
        hidden=("center_frame_idx", "hr_in"),
        image_convs=("predeblur.conv_first",),
        adds_bilinear=True,
        multiple=4,
        window=lambda options: (options.num_frame, options.num_frame),
        divisors={"num_feat": "deformable_groups"},
    ),
    Baseline(
        "SectionBasicVSR",
        basicsr("basicvsr_arch", "BasicVSR"),
        takes=RECURRENT,
        image_convs=("backward_trunk.main.0", "forward_trunk.main.0"),
        adds_bilinear=True,
        has_flow=True,
        window=lambda options: (2, float("inf")),
    ),
    Baseline(
        "SectionIconVSR",
        basicsr("basicvsr_arch", "IconVSR"),
        takes=RECURRENT,
        hidden=("edvr_path",),
        image_convs=("backward_trunk.main.0", "forward_trunk.main.0", "edvr.conv_first"),
        adds_bilinear=True,
        has_flow=True,
        multiple=4,
        window=lambda options: (2 * options.temporal_padding + 1, float("inf")),
        divisors={"num_feat": 8},
        check=check_key_frames,
    ),
    Baseline(
        "SectionBasicVSRPlusPlus",
        mmagic("basicvsr_plusplus_net", "BasicVSRPlusPlusNet"),
        takes=RECURRENT,
        hidden=("is_low_res_input", "spynet_pretrained"),
        image_convs=("feat_extract.main.0",),
        adds_bilinear=True,
        has_flow=True,
        window=lambda options: (2, float("inf")),
        mixins=(WithSmallSections,),
        divisors={"mid_channels": 8},
    ),
    Baseline(
        "SectionTDAN",
        mmagic("tdan", "TDANNet"),
        takes=WINDOW,
        channel_options=("in_channels", "out_channels"),
        image_convs=("to_rgb",),
        tail="reconstruct.4",
        window=lambda options: (TDAN_SECTIONS, TDAN_SECTIONS),
        divisors={"mid_channels": 8},
    ),
    Baseline(
        "SectionEDSR",
        basicsr("edsr_arch", "EDSR"),
        channel_options=IN_OUT,
        scale_option="upscale",
        hidden=("rgb_mean",),
        defaults={"res_scale": 1.0},
    ),
    Baseline(
        "SectionRCAN",
        basicsr("rcan_arch", "RCAN"),
        channel_options=IN_OUT,
        scale_option="upscale",
        hidden=("rgb_mean",),
        defaults={"res_scale": 1.0},
        divisors={"num_feat": "squeeze_factor"},
    ),
    Baseline(
        "SectionSwinIR",
        basicsr("swinir_arch", "SwinIR"),
        channel_options=("in_chans",),
        scale_option="upscale",
        hidden=("norm_layer", "patch_size", "qk_scale", "ape"),
        defaults={"upsampler": "pixelshuffle", "window_size": 8},
        multiple="window_size",
        check=check_swinir,
    ),
    Baseline(
        "SectionRRDBNet",
        basicsr("rrdbnet_arch", "RRDBNet"),
        channel_options=IN_OUT,
        hidden=("scale",),
    ),
]
for baseline in BASELINES:
    ARCH_REGISTRY.register(baseline)


@ARCH_REGISTRY.register()
class Bicubic(nn.Module):
    """MATLAB's bicubic enlargement (BasicSR's ``imresize``) of the centre section, clipped to [0, 1].

    Args:
        scale: HR over LR size.
    """

    def __init__(self, scale: int = 8) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, lq: torch.Tensor) -> torch.Tensor:
        """(b, t, 1, h, w) or (b, 1, h, w), h and w at least 2 -> (b, 1, r*h, r*w)."""
        sections = centre(lq) if lq.dim() == 5 else lq
        enlarged = [imresize(section.cpu(), self.scale) for section in sections]
        return torch.stack(enlarged).clamp(0, 1).to(lq)
