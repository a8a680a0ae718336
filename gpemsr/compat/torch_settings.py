"""What is set in torch itself while the networks train."""

from __future__ import annotations

import ctypes
import functools
import math
import sys
import warnings

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
# Bytes: blocks of 256 MB stay. Larger ones kept too, they would leave gaps and take more memory for little time.
LARGE_BLOCK = 257 * 2**20
OLD_LIMIT = 32 * 2**20  # the largest that glibc before 2.35 takes for LARGE_BLOCK


def flush_denormals() -> None:
    """Let CPUs take numbers below 1e-38 for 0: networks in training make some, which slow single iterations tenfold.

    Threads that have begun already keep their setting.
    """
    import torch

    torch.set_flush_denormal(True)


def keep_freed_memory(large_block: int = LARGE_BLOCK) -> None:
    """Let glibc, where it is malloc, keep what tensors free: from the system it would come back page by page.

    That took a fifth of the time of a section of LR 128^2, and 5 % of a training step.

    Args:
        large_block: bytes of a block that is returned all the same.
    """
    if libc := _glibc():
        if not libc.mallopt(M_MMAP_THRESHOLD, large_block):
            libc.mallopt(M_MMAP_THRESHOLD, OLD_LIMIT)
        libc.mallopt(M_TRIM_THRESHOLD, -1)


def return_freed_memory() -> None:
    """Give the system what is kept free, so that the process has as much as it uses."""
    if libc := _glibc():
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if hasattr(libc, "mallopt") else None


def sample_without_nan() -> None:
    """Let ``grid_sample`` take places of NaN on CPUs for 0: its backward pass reads memory there and ends the process.

    Networks of BasicSR and MMagic call it too. What made the NaN has gradients of NaN all the same.
    """
    from torch.nn import functional

    if hasattr(functional.grid_sample, "original"):
        return
    original = functional.grid_sample

    @functools.wraps(original)
    def grid_sample(input, grid, *args, **kwargs):
        return original(input, grid.nan_to_num(0.0, math.inf, -math.inf) if grid.is_cpu else grid, *args, **kwargs)

    grid_sample.original = original  # type: ignore[attr-defined]
    functional.grid_sample = grid_sample


def silence_known_warnings() -> None:
    """Silence two warnings of today's torch about BasicSR that a user can do nothing about.

    Its ``flow_warp`` calls ``torch.meshgrid`` without ``indexing``; its loop steps the schedulers of all optimisers,
    also of the discriminator's before the adversarial part begins.
    """
    warnings.filterwarnings("ignore", message="torch.meshgrid: in an upcoming release")
    warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step.. before `optimizer.step")
