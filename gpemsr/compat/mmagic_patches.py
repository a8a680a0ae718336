"""Importing MMagic and running mmengine with today's mmcv, numpy and torch, without CUDA too."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gpemsr.compat.temporary import temporarily, temporary_modules


class _StandIn(types.ModuleType):
    """A module that nothing is called from: any name is an empty class."""

    __path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


EDITORS = "mmagic.models.editors"
REGISTERED = ("mmagic.models", "mmagic.engine", "mmagic.datasets", "mmagic.evaluation", "mmagic.visualization")


def load_mmagic(editor: str) -> types.ModuleType:
    """Import one of MMagic's super-resolution networks, e.g. ``load_mmagic("tdan").TDANNet``.

    MMagic 1.2.0 refuses today's mmcv by its version, uses ``numpy.bool8`` (gone), and imports diffusers,
    albumentations and all of its editors, which its super-resolution networks do not need. While it is
    imported these have stand-ins; afterwards these are gone, and ``mmagic.models.editors`` is a bare package
    of which only what was asked for is loaded. Where mmcv has no compiled operators (``mmcv._ext``), its two
    deformable convolutions are torchvision's from then on: the same values, on any device.

    Args:
        editor: a package of ``mmagic.models.editors``, e.g. ``basicvsr_plusplus_net``, ``edvr``, ``iconvsr``.

    Raises:
        ImportError: MMagic or mmcv is not installed, or has no such editor.
    """
    _import_mmagic("mmagic.models")
    return importlib.import_module(f"{EDITORS}.{editor}")


def load_mmagic_registries() -> None:
    """Import what MMagic's registries hold except its editors, in the way of :func:`load_mmagic`.

    In the scope ``mmagic`` a registry imports its package of MMagic (``mmagic.evaluation`` and so on) when a name
    is first looked up, which would fail without the stand-ins. After this a Runner of mmengine with
    ``default_scope = "mmagic"`` works.

    Raises:
        ImportError: MMagic, mmcv or mmengine is not installed.
    """
    _import_mmagic(*REGISTERED)


def _import_mmagic(*packages: str) -> None:
    """Import packages of MMagic while what they do not need has stand-ins."""
    packages = tuple(package for package in packages if package not in sys.modules)
    if not packages:
        return
    for name in ("mmengine", "mmcv", "mmagic"):
        if importlib.util.find_spec(name) is None:
            raise ImportError(f"{name} is not installed, which MMagic needs: pip install gpemsr[mmagic]")
    import mmcv
    import numpy

    unused = ["diffusers", "diffusers.models", "diffusers.models.attention", "albumentations"]
    missing = [name for name in unused if importlib.util.find_spec(name.partition(".")[0]) is None]
    has_operators = importlib.util.find_spec("mmcv._ext") is not None
    if not has_operators:
        missing.append("mmcv._ext")
    with (
        temporarily(mmcv, __version__="2.1.0"),
        temporarily(numpy, bool8=numpy.bool_),
        temporary_modules({name: _StandIn(name) for name in missing}),
    ):
        import mmcv.ops

        if not has_operators:
            _use_torchvision_operators()
        has_models = "mmagic.models" in sys.modules
        if not has_models:
            editors = types.ModuleType(EDITORS)
            mmagic_spec = importlib.util.find_spec("mmagic")
            assert mmagic_spec is not None and mmagic_spec.submodule_search_locations is not None
            editors.__path__ = [str(Path(mmagic_spec.submodule_search_locations[0], "models", "editors"))]
            sys.modules[EDITORS] = editors
        try:
            for package in packages:
                importlib.import_module(package)
        except BaseException:
            if not has_models:
                del sys.modules[EDITORS]
            raise


@contextlib.contextmanager
def mmengine_without_cuda() -> Iterator[None]:
    """Let mmengine's ``--launcher pytorch`` (torchrun) work without CUDA; it always sets a CUDA device."""
    import torch

    if torch.cuda.is_available():
        yield
        return
    with temporarily(torch.cuda, set_device=lambda device: None):
        yield


def _use_torchvision_operators() -> None:
    """Replace mmcv's two compiled deformable convolutions by torchvision's, and by ours where CPUs train."""
    import mmcv.ops
    import torch
    from torch.nn.modules.utils import _pair
    from torchvision.ops import deform_conv2d as convolve

    from gpemsr.compat.sampled_convolution import sampled_deform_conv2d

    def choose(x, offset, weight, bias, stride, padding, dilation, mask=None):
        if x.is_cpu:  # where torch reads memory at an offset of NaN
            offset = offset.nan_to_num(0.0, torch.inf, -torch.inf)
        same = _pair(stride) == _pair(dilation) == (1, 1) and {*_pair(padding)} == {weight.shape[-1] // 2}
        if same and x.is_cpu and torch.is_grad_enabled() and weight.shape[1] == x.shape[1]:
            return sampled_deform_conv2d(x, offset, weight, bias, mask)
        return convolve(x, offset, weight, bias, stride, padding, dilation, mask)

    def modulated_deform_conv2d(
        x, offset, mask, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, deform_groups=1
    ):
        return choose(x, offset, weight, bias, stride, padding, dilation, mask)

    def deform_conv2d(x, offset, weight, stride=1, padding=0, dilation=1, groups=1, deform_groups=1, *_):
        return choose(x, offset, weight, None, stride, padding, dilation)

    for function in (modulated_deform_conv2d, deform_conv2d):
        module = sys.modules[f"mmcv.ops.{function.__name__.removesuffix('2d')}"]
        setattr(module, function.__name__, function)
        setattr(mmcv.ops, function.__name__, function)
