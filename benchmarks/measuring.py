"""What the scripts of this folder share: networks of paper size, clocks, Markdown tables."""

from __future__ import annotations

import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gpemsr import register
from gpemsr.options.read import read_options, to_plain

OPTIONS = Path(__file__).parents[1] / "options"


def paper_options(scale: int) -> dict[str, Any]:
    """The options of stage III as the paper has them, with random weights in all that would be loaded."""
    options = to_plain(read_options(str(OPTIONS / f"stage3_x{scale}.yml")))
    options["network_g"] |= {"vgg_weights": None, "flow_weights": None}
    options["train"]["contextual_opt"]["vgg_weights"] = None
    options["path"] = {key: None for key in options["path"]}
    return options


def paper_network(scale: int, device: str) -> torch.nn.Module:
    """GPEMSR of paper size with random weights, in eval mode."""
    register()
    from basicsr.archs import build_network

    torch.manual_seed(0)
    return build_network(paper_options(scale)["network_g"]).to(device).eval().requires_grad_(False)


def processor() -> str:
    """Name of the processor, and the threads that torch uses."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    name = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    return f"{name}, {torch.get_num_threads()} of {os.cpu_count()} threads"


class Table:
    """A Markdown table that is printed, and kept in a file, row by row.

    Args:
        path: the file; None only prints.
        title: line above the table.
        columns: headings.
    """

    def __init__(self, path: Path | None, title: str, columns: Sequence[str]) -> None:
        self.path = path
        self.write(f"\n{title}\n")
        self.row(*columns)
        self.row(*("---" for _ in columns))

    def row(self, *cells: object) -> None:
        """Add a row."""
        self.write("| " + " | ".join(str(cell) for cell in cells) + " |")

    def write(self, line: str) -> None:
        """Print a line and keep it."""
        print(line, flush=True)
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


@dataclass(frozen=True)
class Taken:
    """Median seconds of a call, of the CPU and of the clock on the wall."""

    cpu: float
    wall: float


def interleaved(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, Taken]:
    """What each call takes; they take turns, ``rounds`` times, after one round that does not count."""
    clocks = (time.process_time, time.perf_counter)
    seconds: dict[str, list[list[float]]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            start = [clock() for clock in clocks]
            call()
            if number:
                seconds[name].append([clock() - begun for clock, begun in zip(clocks, start, strict=True)])
    return {name: Taken(*map(statistics.median, zip(*values, strict=True))) for name, values in seconds.items()}


def peak_of(prepare: Callable[..., Callable[[], Any]], *arguments: Any) -> float:
    """Memory (GB) above the start that the call returned by ``prepare(*arguments)`` takes, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_grown, prepare, arguments).result()


def _grown(prepare: Callable[..., Callable[[], Any]], arguments: tuple) -> float:
    torch.set_num_threads(1)
    call = prepare(*arguments)
    before = _most_resident()
    call()
    return _most_resident() - before


def _most_resident() -> float:
    """GB that were resident at most since this process was started; Linux alone tells."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e9
