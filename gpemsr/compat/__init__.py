"""How BasicSR 1.4.2 and MMagic 1.2.0 differ from today's torch: the one place that knows.

Each function mends one breakage and says which. :func:`importable_basicsr` has no lasting effect and
is what a module of ours uses; :func:`apply` installs the lasting ones and is called by the entry
points (``gpemsr-train``, ``gpemsr-test``) only, never by importing an architecture. :func:`load_mmagic` is for
who needs one of MMagic's networks, :func:`load_mmagic_registries` for who runs mmengine's Runner with MMagic.

Not mended, but to be known: without CUDA BasicSR's BasicVSR++ drops its deformable alignment (use MMagic's), its
EDVR always returns three channels, its other video networks are x4 only, and NIQE needs more than 128 pixels.
"""

from gpemsr.compat.basicsr_import import importable_basicsr
from gpemsr.compat.basicsr_mends import apply, working_root
from gpemsr.compat.mmagic_mends import load_mmagic, load_mmagic_registries, mmengine_without_cuda
from gpemsr.compat.torch_mends import flush_denormals, silence_known_warnings

__all__ = [
    "apply",
    "flush_denormals",
    "importable_basicsr",
    "load_mmagic",
    "load_mmagic_registries",
    "mmengine_without_cuda",
    "silence_known_warnings",
    "working_root",
]
