"""How BasicSR 1.4.2 and MMagic 1.2.0 differ from today's torch: the only package that knows.

Each function patches one thing that breaks and says which. :func:`importable_basicsr` has no lasting effect and
is what our modules use; :func:`apply` installs the lasting patches and is called by the commands that train or
test (never by importing an architecture). :func:`load_mmagic` imports one of MMagic's networks,
:func:`load_mmagic_registries` what mmengine's Runner needs of MMagic.

Known but not patched: without CUDA BasicSR's BasicVSR++ drops its deformable alignment (use MMagic's), its
EDVR always returns three channels, its other video networks are x4 only, and NIQE needs more than 128 pixels.
"""

from gpemsr.compat.basicsr_import import importable_basicsr
from gpemsr.compat.basicsr_patches import apply, parse_options_with
from gpemsr.compat.basicsr_training import copy_options_as, report_prefetch_errors, train_on
from gpemsr.compat.mmagic_patches import load_mmagic, load_mmagic_registries, mmengine_without_cuda
from gpemsr.compat.temporary import temporarily
from gpemsr.compat.torch_settings import flush_denormals, return_freed_memory, silence_known_warnings

__all__ = [
    "apply",
    "copy_options_as",
    "flush_denormals",
    "importable_basicsr",
    "load_mmagic",
    "load_mmagic_registries",
    "mmengine_without_cuda",
    "parse_options_with",
    "report_prefetch_errors",
    "return_freed_memory",
    "silence_known_warnings",
    "temporarily",
    "train_on",
]
