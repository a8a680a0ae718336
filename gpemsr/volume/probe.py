"""What the network takes of memory and time, measured on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from gpemsr import compat
from gpemsr.volume.network import VolumeNetwork
from gpemsr.volume.preflight import Cost, Machine
from gpemsr.volume.section_loop import one_section

PROBES = (32, 64)  # LR pixels


@torch.no_grad()
def probe(network: VolumeNetwork) -> Cost:
    """Measure one section on two small tiles of noise."""
    taken = []
    for side in PROBES:
        lq = torch.rand(1, 1, side, side, device=network.device)
        taken.append(measured(partial(one_section, network, lq), network.device))
    (small, _), (large, seconds) = taken
    per_pixel = max(0.0, (large - small) / (PROBES[1] ** 2 - PROBES[0] ** 2))
    return Cost(max(0.0, large - per_pixel * PROBES[1] ** 2), per_pixel, seconds / PROBES[1] ** 2)


def measured(function: Callable[[], Any], device: torch.device) -> tuple[int, float]:
    """Bytes that ``function`` takes at most, and its seconds."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
    else:
        compat.return_freed_memory()
        reset_peak()
        before = process_memory("VmRSS")
    start = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        after = torch.cuda.max_memory_allocated(device)
    else:
        after = process_memory("VmHWM")
    return max(0, after - before), time.perf_counter() - start


def reset_peak() -> None:
    """Forget this process's peak of memory, where the kernel can."""
    file = Path("/proc/self/clear_refs")
    if file.exists():
        file.write_text("5")


def process_memory(name: str) -> int:
    """Bytes of this process: ``VmRSS`` now, ``VmHWM`` at most so far."""
    return _proc_value(Path("/proc/self/status"), name)


def machine(device: torch.device) -> Machine:
    """This one; a run may take most of the memory that is free."""
    if device.type == "cuda":
        return Machine(int(0.85 * torch.cuda.mem_get_info(device)[0]), is_gpu=True)
    return Machine(int(0.6 * _proc_value(Path("/proc/meminfo"), "MemAvailable")))


def _proc_value(file: Path, name: str) -> int:
    lines = file.read_text().splitlines() if file.exists() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 2**32)
