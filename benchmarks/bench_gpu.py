"""Speed and memory of GPEMSR of paper size on a GPU: inference and training, as Markdown tables.

    python benchmarks/bench_gpu.py --out runs/gpu
    python benchmarks/bench_gpu.py --out runs/gpu --only training compiled
    python benchmarks/bench_gpu.py --out runs/gpu --device cpu --quick

Every row stands on its own: what fails says why, and the next one is measured. torch.compile comes last, with what is
left of ``--seconds``. Shares are of the rate of a large bf16 matrix product, measured first; the work of a section is
counted in multiply-accumulates (two operations each). Memory is torch's peak, weights included. The table is written
into ``gpu.md`` row by row. There are no CUDA graphs: torchvision launches its deformable convolution on the default
stream, so that a graph leaves it out (https://github.com/pytorch/vision/issues/9513).
"""

from __future__ import annotations

import argparse
import gc
import itertools
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measuring import Table, paper_network, paper_options, processor

from gpemsr import compat, register
from gpemsr.archs.blocks import lay_out
from gpemsr.archs.precision import in_precision
from gpemsr.benchmark.cost import count_macs
from gpemsr.benchmark.row import one_section

SIZES = {8: 128, 16: 64}
COMPILE_AT_LEAST = 25  # seconds that must be left for it


class Bench:
    """The settings of a run and its clock.

    Args:
        device: ``cuda`` or ``cpu``.
        quick: tiny sections and one repeat.
        seconds: that the whole run may take.
    """

    def __init__(self, device: str, quick: bool, seconds: float) -> None:
        self.device = device
        self.quick = quick
        self.end = time.monotonic() + seconds
        self.rate = 0.0

    def synchronize(self) -> None:
        """Wait for the device."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    def seconds(self, call: Callable[[], Any], least: float = 0.5) -> float:
        """Median seconds of a call, after warming up."""
        for _ in range(3):
            call()
        taken: list[float] = []
        begin = time.monotonic()
        while len(taken) < 3 or (not self.quick and time.monotonic() - begin < least):
            self.synchronize()
            start = time.perf_counter()
            call()
            self.synchronize()
            taken.append(time.perf_counter() - start)
        return statistics.median(taken)

    def peak(self, call: Callable[[], Any]) -> str:
        """Torch's peak memory in a call (GB), that of what is held before included."""
        if self.device != "cuda":
            return "-"
        torch.cuda.reset_peak_memory_stats()
        call()
        return f"{torch.cuda.max_memory_allocated() / 1e9:.2f}"

    def attempt(self, table: Table, name: tuple, measure: Callable[[], None], least: float = 5) -> None:
        """Call ``measure``, which adds a row; if it fails, or ``least`` seconds do not remain, the row says so."""
        left = self.end - time.monotonic()
        try:
            if left < least:
                raise TimeoutError(f"left out, {left:.0f} s remain")
            with alarm(left):
                measure()
        except Exception as error:  # whatever it is, the other rows are wanted
            text = " ".join(f"{type(error).__name__}: {error}".split()).replace("|", "/")
            table.row(*name, f"failed: {text[:200]}")
        finally:
            gc.collect()
            if self.device == "cuda":
                torch.cuda.empty_cache()


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise TimeoutError within if it takes longer."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"took longer than the {seconds:.0f} s that were left")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def matrix_rate(bench: Bench, table: Table) -> None:
    """Operations per second of a large bf16 matrix product on random data."""
    size = 2048 if bench.quick else 8192
    a, b = (torch.randn(size, size, device=bench.device, dtype=torch.bfloat16) for _ in range(2))
    bench.rate = 2 * size**3 / bench.seconds(lambda: a @ b)
    table.row(f"{size}^2", f"{bench.rate / 1e12:.2f}")


def windowed(network: Any, lq: torch.Tensor) -> torch.Tensor:
    """A window (t, 1, h, w) as the network's forward takes it: all its sections are encoded."""
    return network.reconstruct(network.encode_sections(lq[None]))


EAGER = (
    ("fp32", "contiguous", "eager"),
    ("tf32", "contiguous", "eager"),
    ("bf16", "contiguous", "eager"),
    ("fp32", "channels_last", "eager"),
    ("tf32", "channels_last", "eager"),
    ("bf16", "channels_last", "eager"),
)
COMPILED = (("bf16", "channels_last", "compiled"),)
WAYS = {"streamed": (one_section, 1), "plain": (windowed, 5)}


def inference(bench: Bench, table: Table, scale: int, ways: tuple[str, ...], settings: tuple) -> None:
    """Rows of one scale: each way, and each format, layout and way to run."""
    size = 16 if bench.quick else SIZES[scale]
    net = paper_network(scale, bench.device)
    for way in ways:
        function, count = WAYS[way]
        lq = torch.rand(count, 1, size, size, device=bench.device)
        macs = count_macs(function, net, lq)
        for setting in settings:
            name = (f"x{scale}, LR {size}^2", way, *setting)
            least = COMPILE_AT_LEAST if setting in COMPILED else 5
            bench.attempt(table, name, partial(section, bench, table, name, net, partial(function, lq=lq), macs), least)


@torch.no_grad()
def section(bench: Bench, table: Table, name: tuple, net: torch.nn.Module, function: Callable, macs: int) -> None:
    """One row of :func:`inference`."""
    *_, precision, layout, run = name
    if bench.device != "cuda" and precision == "tf32":
        return
    use_tf32(precision == "tf32")
    if layout == "channels_last":
        lay_out(net)
    else:
        net.to(memory_format=torch.contiguous_format)
    once = partial(function, in_precision(net, "bf16" if precision == "bf16" else "fp32", bench.device))
    call = once
    if run == "compiled":
        call = torch.compile(once)
    begin = time.monotonic()
    seconds = bench.seconds(call)
    if run == "compiled":
        print(f"compiled and measured in {time.monotonic() - begin:.0f} s")
    share = 2 * macs / seconds / bench.rate if bench.rate else 0
    peak = bench.peak(call)
    table.row(*name, f"{1000 * seconds:.1f}", f"{2 * macs / seconds / 1e12:.2f}", f"{share:.1%}", peak)


def use_tf32(allowed: bool) -> None:
    """Let fp32 convolutions and products be computed in TF32, or not."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed


def training(bench: Bench, table: Table, scale: int, precision: str) -> None:
    """A step of stage III: batch 8 of 256^2 HR crops, as the paper has it."""
    from basicsr.models import build_model

    batch, size = (1, 64) if bench.quick else (8, 256)
    use_tf32(False)
    torch.manual_seed(0)
    options = paper_options(scale)
    options |= {"is_train": True, "dist": False, "rank": 0, "world_size": 1, "num_gpu": int(bench.device == "cuda")}
    options["train"]["precision"] = precision
    model = build_model(options)
    data = {"lq": torch.rand(batch, 5, 1, size // scale, size // scale), "gt": torch.rand(batch, 1, size, size)}

    def step() -> None:
        model.feed_data(data)
        model.optimize_parameters(2)

    seconds = bench.seconds(step, least=3)
    table.row(f"x{scale}", precision, f"{1 / seconds:.2f}", f"{batch / seconds:.1f}", bench.peak(step))


def inferences(title: str, ways: tuple[str, ...], settings: tuple, bench: Bench, file: Path) -> None:
    """A table of inference, both scales."""
    columns = ["network", "way", "format", "layout", "run", "ms a section", "TFLOP/s", "of bf16 rate", "peak GB"]
    table = Table(file, f"Inference of a section{title}", columns)
    for scale in SIZES:
        bench.attempt(table, (f"x{scale}",), partial(inference, bench, table, scale, ways, settings))


def trainings(bench: Bench, file: Path) -> None:
    """The table of training, both scales."""
    table = Table(file, "Training step of stage III, paper size", ["scale", "format", "steps/s", "crops/s", "peak GB"])
    for scale, precision in itertools.product(SIZES, ("fp32", "bf16")):
        bench.attempt(table, (f"x{scale}", precision), partial(training, bench, table, scale, precision))


PARTS = {
    "inference": partial(inferences, "", ("streamed",), EAGER),
    "training": trainings,
    "plain": partial(inferences, ", each window on its own", ("plain",), EAGER),
    "compiled": partial(inferences, ", compiled", ("streamed",), COMPILED),
}


def name_of(device: str) -> str:
    """The card, or the processor."""
    return f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}" if device == "cuda" else processor()


def main() -> int:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of gpu.md")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny sections, one repeat: does it run?")
    parser.add_argument("--seconds", type=float, default=225, help="for everything (default 225)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="tables (default: all)")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: no CUDA device here; --device cpu is expected")
    arguments.out.mkdir(parents=True, exist_ok=True)
    file = arguments.out / "gpu.md"
    file.unlink(missing_ok=True)
    register()
    compat.apply()
    torch.backends.cudnn.benchmark = True
    bench = Bench(arguments.device, arguments.quick, arguments.seconds)
    rates = Table(file, f"{name_of(bench.device)}, torch {torch.__version__}", ["bf16 matrix product", "TFLOP/s"])
    bench.attempt(rates, (), partial(matrix_rate, bench, rates))
    for part in arguments.only:
        PARTS[part](bench, file)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
