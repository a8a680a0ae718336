"""Networks of BasicSR and MMagic adapted to sections: one channel, x8 and x16, any size; their own classes, subclassed.

:class:`Baseline` says what is particular to one network, :class:`Adapted` is what all of them have in common. Names
in state dicts stay the toolbox's, so that published x4 weights load into all layers of the same shape.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
from basicsr.archs.arch_util import DCNv2Pack
from torch import nn
from torch.nn import functional as F

from gpemsr.archs.blocks import conv3, pad_to_multiple
from gpemsr.archs.deform_conv import DeformConv
from gpemsr.archs.flow import PUBLISHED_LEVELS, SectionFlow
from gpemsr.archs.gpemsr_arch import enlarge
from gpemsr.errors import one_line
from gpemsr.options.networks import check_positive

TOOLBOX_SCALE = 4
SCALES = (4, 8, 16)
RGB = 3

SINGLE, WINDOW, RECURRENT = "single image", "window", "recurrent"


@dataclass(frozen=True)
class OwnOptions:
    """Options that an adapted network has in addition to the toolbox's."""

    scale: int = 8
    """8 or 16, HR over LR size; 4 is the toolbox's own network."""
    channels: int = 1
    """1; with scale 4 also 3, the toolbox's own network."""
    flow_levels: int = PUBLISHED_LEVELS
    """Levels of the optical flow's pyramid, of networks with ``spynet``."""
    spynet_path: str | None = None
    """Weights of SPyNet in BasicSR's or MMagic's file; null starts at zero flow."""
    whole_stack: bool = False
    """Return every section of the input, not its centre (recurrent networks, for test)."""


@dataclass(frozen=True, eq=False)
class Baseline:
    """How a toolbox's network becomes one for sections; calling it builds the network."""

    name: str
    """Registered name."""
    load: Callable[[], type[nn.Module]]
    """Returns the toolbox's class; ImportError if the toolbox is absent."""
    takes: str = SINGLE
    """``SINGLE``, ``WINDOW`` or ``RECURRENT``: one section, a window, or any stack."""
    channel_options: tuple[str, ...] = ()
    """Options of the toolbox that are the number of image channels."""
    scale_option: str | None = None
    """The toolbox's option that is the scale; without one the network is x4, and its tail is lengthened."""
    hidden: tuple[str, ...] = ()
    """Further options of the toolbox that are not the user's."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Defaults that differ from the toolbox's."""
    image_convs: tuple[str, ...] = ()
    """Convolutions that see the image, of 3 channels whatever the options."""
    tail: str = "conv_last"
    """The convolution that makes the image."""
    adds_bilinear: bool = False
    """Whether the bilinear image is added to what the tail makes."""
    has_flow: bool = False
    """Whether it aligns sections by optical flow."""
    multiple: int | str = 1
    """What (or the option that) h and w must be a multiple of."""
    window: Callable[[SimpleNamespace], tuple[int, float]] = lambda options: (1, math.inf)
    """Least and most sections that it takes, by its options."""
    divisors: Mapping[str, int | str] = field(default_factory=dict)
    """Width option -> what (or the option that) it must be a multiple of."""
    mixins: tuple[type, ...] = ()
    """Classes that change how the toolbox's class runs."""
    check: Callable[[SimpleNamespace], None] = lambda options: None
    """Raises ValueError("<key>=<value>: what is expected") for options that do not go together."""

    @property
    def __name__(self) -> str:
        return self.name

    @property
    def __signature__(self) -> inspect.Signature:
        """The toolbox's options that are left to the user, and ours. Raises ValueError if the toolbox is absent."""
        own = inspect.signature(OwnOptions, eval_str=True).parameters
        hidden = {*self.hidden, *self.channel_options, self.scale_option, *own}
        parameters = [
            parameter.replace(
                kind=inspect.Parameter.KEYWORD_ONLY, default=self.defaults.get(parameter.name, parameter.default)
            )
            for parameter in inspect.signature(self._toolbox_class()).parameters.values()
            if parameter.name not in hidden and parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        ours = [own[name].replace(kind=inspect.Parameter.KEYWORD_ONLY) for name in own if self._has(name)]
        return inspect.Signature(parameters + ours)

    def __call__(self, **options: Any) -> nn.Module:
        """Build the network."""
        return _adapted_class(self)(**options)

    def complete(self, options: Mapping[str, Any]) -> SimpleNamespace:
        """All options, defaults filled in; TypeError for an unknown one."""
        bound = inspect.signature(self).bind(**options)
        bound.apply_defaults()
        return SimpleNamespace(**bound.arguments)

    def check_options(self, **options: Any) -> None:
        """Raise ValueError("<key>=<value>: what is expected") naming the first option that is not valid."""
        complete = self.complete(options)
        if complete.scale not in SCALES:
            raise ValueError(f"scale={complete.scale}: one of {', '.join(map(str, SCALES))}")
        if complete.channels != 1 and (complete.channels, complete.scale) != (RGB, TOOLBOX_SCALE):
            raise ValueError(f"channels={complete.channels}: 1; {RGB} with scale: {TOOLBOX_SCALE} only")
        for name, parameter in inspect.signature(self).parameters.items():
            value, default = getattr(complete, name), parameter.default
            if isinstance(default, int) and not isinstance(default, bool):
                check_positive(complete, name)
            elif isinstance(default, tuple) and not _are_positive(value):
                raise ValueError(f"{name}={value}: a list of positive integers")
        if self.has_flow and complete.flow_levels > PUBLISHED_LEVELS:
            raise ValueError(f"flow_levels={complete.flow_levels}: 1 to {PUBLISHED_LEVELS}")
        for name, divisor in self.divisors.items():
            number = getattr(complete, divisor) if isinstance(divisor, str) else divisor
            if getattr(complete, name) % number:
                of = f"{divisor}={number}" if isinstance(divisor, str) else f"{number}"
                raise ValueError(f"{name}={getattr(complete, name)}: a multiple of {of}")
        self.check(complete)

    def check_window(self, sections: int, options: SimpleNamespace) -> None:
        """Raise ValueError("num_frame=...: what is expected") unless a network of these options takes so many."""
        least, most = self.window(options)
        if not least <= sections <= most:
            fits = f"{least}" if least == most else f"at least {least}"
            raise ValueError(f"num_frame={sections}: {fits} sections, which {self.name} works on together")

    def _has(self, own: str) -> bool:
        """Whether the network has this option of :class:`OwnOptions`."""
        needs = {"flow_levels": self.has_flow, "spynet_path": self.has_flow, "whole_stack": self.takes == RECURRENT}
        return needs.get(own, True)

    def _toolbox_class(self) -> type[nn.Module]:
        try:
            return self.load()
        except ImportError as error:
            raise ValueError(f"type={self.name}: {one_line(error)}") from None


def _are_positive(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(number, int) and number > 0 for number in value)


@functools.cache
def _adapted_class(baseline: Baseline) -> type[nn.Module]:
    """The toolbox's class, adapted."""
    base = baseline._toolbox_class()
    return type(
        baseline.name,
        (Adapted, *baseline.mixins, base),
        {"baseline": baseline, "__doc__": f"{base.__name__} for sections."},
    )


class Adapted(nn.Module):
    """What is put before a toolbox's class: builds it, changes what does not fit sections, and runs it.

    Input (b, t, 1, h, w) or, for networks that see one section, also (b, 1, h, w), in [0, 1], any size; output
    (b, 1, r*h, r*w), the centre section, or with ``whole_stack`` (b, t, 1, r*h, r*w).
    """

    baseline: Baseline

    def __init__(self, **options: Any) -> None:
        baseline = self.baseline
        baseline.check_options(**options)
        complete = baseline.complete(options)
        theirs = {key: value for key, value in vars(complete).items() if not hasattr(OwnOptions, key)}
        theirs |= {key: complete.channels for key in baseline.channel_options}
        if baseline.scale_option:
            theirs[baseline.scale_option] = complete.scale
        super().__init__(**theirs)
        self.options = complete
        multiple = baseline.multiple
        self.multiple: int = getattr(complete, multiple) if isinstance(multiple, str) else multiple
        self.packed = 1 if baseline.scale_option else complete.scale // TOOLBOX_SCALE
        modules: dict[str, Any] = dict(self.named_modules())
        for name in baseline.image_convs:
            if complete.channels != RGB and name in modules:
                replace_module(self, name, with_image_channels(modules[name], complete.channels))
        if not baseline.scale_option:
            replace_module(self, baseline.tail, PackedTail(modules[baseline.tail], complete.channels, self.packed))
        mean = getattr(self, "mean", None)
        if mean is not None:
            self.mean = mean.mean(1, keepdim=True) if complete.channels == 1 else mean
        if baseline.has_flow:
            self.spynet = SectionFlow.of(modules["spynet"], complete.flow_levels, complete.spynet_path)
        replace_deformable(self)

    def forward(self, lq: torch.Tensor) -> torch.Tensor:
        """Super-resolve the centre section, or with ``whole_stack`` all of them."""
        baseline, scale = self.baseline, self.options.scale
        if baseline.takes == SINGLE:
            lq = centre(lq) if lq.dim() == 5 else lq
        else:
            baseline.check_window(lq.shape[1], self.options)
        h, w = lq.shape[-2:]
        lq = pad_to_multiple(lq, self.multiple).contiguous()
        result = super().forward(lq)
        sr = result[0] if isinstance(result, tuple) else result
        base = lq
        if baseline.takes == RECURRENT and not self.options.whole_stack:
            sr = centre(sr)
        if base.dim() > sr.dim():
            base = centre(base)
        sr = F.pixel_shuffle(sr, self.packed)
        if baseline.adds_bilinear and self.packed > 1:
            sr = sr + finer_bilinear(base, scale)
        return sr[..., : h * scale, : w * scale]


def centre(x: torch.Tensor) -> torch.Tensor:
    """(b, t, ...) -> (b, ...), the centre section."""
    return x[:, x.shape[1] // 2]


class PackedTail(nn.Conv2d):
    """The last convolution of an x4 network, after the pixel shuffles that it lacks; its weights keep their names.

    Args:
        last: the toolbox's.
        channels: of the image.
        finer: scale over 4; each factor of 2 is one pixel shuffle in ``finer``.

    The result is packed, (b, finer^2 * channels, 4*h, 4*w), so that the toolbox can add its x4 image, of one channel.
    """

    def __init__(self, last: nn.Conv2d, channels: int, finer: int) -> None:
        super().__init__(last.in_channels, channels, 3, 1, 1, bias=last.bias is not None)
        width = last.in_channels
        steps = [(conv3(width, 4 * width), nn.PixelShuffle(2), nn.LeakyReLU(0.1)) for _ in range(int(math.log2(finer)))]
        self.finer = nn.Sequential(*(layer for step in steps for layer in step))
        self.factor = finer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, width, 4*h, 4*w) -> (b, finer^2 * channels, 4*h, 4*w)."""
        return F.pixel_unshuffle(super().forward(self.finer(x)), self.factor)


def finer_bilinear(lq: torch.Tensor, scale: int) -> torch.Tensor:
    """What to add to the x4 bilinear image of (..., 1, h, w), each pixel repeated, for that at ``scale``."""
    flat = lq.flatten(0, -4)
    packed = enlarge(flat, TOOLBOX_SCALE)
    repeated = F.interpolate(packed, scale_factor=scale // TOOLBOX_SCALE, mode="nearest")
    return (enlarge(flat, scale) - repeated).unflatten(0, lq.shape[:-3])


def with_image_channels(conv: nn.Conv2d, channels: int) -> nn.Conv2d:
    """A convolution like ``conv``, of whose input (or as whose output) the image takes ``channels``, not 3."""
    if conv.out_channels == RGB:
        return conv3(conv.in_channels, channels)
    return conv3(conv.in_channels - RGB + channels, conv.out_channels)


def replace_deformable(net: nn.Module) -> None:
    """Put ours, which is faster on CPUs and has mmcv's engine, in the place of BasicSR's deformable convolutions."""
    for name, module in list(net.named_modules()):
        if type(module) is DCNv2Pack:
            ours = DeformConv(module.in_channels, module.out_channels, module.deformable_groups)
            replace_module(net, name, ours)


def replace_module(net: nn.Module, name: str, module: nn.Module) -> None:
    """Put ``module`` in the place of the one of this dotted name."""
    parent, _, child = name.rpartition(".")
    setattr(net.get_submodule(parent), child, module)
