"""What super-resolving a section takes on a CPU: GPEMSR of paper size in each way, beside EDVR-M and BasicVSR.

    python benchmarks/bench_inference.py
    python benchmarks/bench_inference.py --quick
    python benchmarks/bench_inference.py --growth
    python benchmarks/bench_inference.py --growth --keep 128

Random weights, one thread, CPU seconds: medians of interleaved runs. The unit is BasicSR's EDVR-M x4 at LR 64^2 in the
same run. Then the parts of GPEMSR alone, in multiply-accumulates and GFLOP/s (two operations each), beside those of a
3x3 convolution of 64 channels. ``--growth`` instead: cost by area and by number of sections.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from measuring import Table, interleaved, paper_network, peak_of, processor

from gpemsr import register
from gpemsr.archs.blocks import lay_out
from gpemsr.archs.precision import in_precision
from gpemsr.benchmark.cost import count_macs
from gpemsr.benchmark.row import one_section
from gpemsr.compat.torch_settings import LARGE_BLOCK, keep_freed_memory
from gpemsr.volume.section_loop import super_resolve_sections

UNIT = "EDVR-M x4, LR 64^2"
BASICVSR_FRAMES = 5
PARTS = (
    *("prior", "prior.vqgan.decoder", "perceptual", "mpf", "flow", "align"),
    *("fusion", "reconstruction", "upsample", "conv_hr", "conv_last"),
)
SETTINGS = {
    f"GPEMSR x{scale}, LR {size}^2, {way}": (scale, size, *way.split())
    for scale, size in ((8, 64), (8, 128), (16, 32))
    for way in ("plain fp32", "streamed fp32", "streamed bf16", "streamed bf16 compiled")
}
QUICK = [name for name in SETTINGS if "128^2" not in name and "compiled" not in name]


@cache
def network(scale: int) -> torch.nn.Module:
    """The network of a scale."""
    return lay_out(paper_network(scale, "cpu"))


def gpemsr(scale: int, size: int, way: str, precision: str, compiled: str | None = None) -> Callable[[], Any]:
    """A call that super-resolves one section: of a stack (``streamed``), or from a window of its own (``plain``)."""
    net = in_precision(network(scale), precision, "cpu")
    lq = torch.rand(1, 1, size, size)
    call = (
        partial(one_section, net, lq) if way == "streamed" else partial(network(scale), lq.expand(1, 5, 1, size, size))
    )
    return torch.no_grad()(torch.compile(call) if compiled else call)


def edvr() -> Callable[[], Any]:
    """A call of EDVR-M."""
    register()
    from basicsr.archs.edvr_arch import EDVR

    net = EDVR(num_feat=64, num_frame=5, num_extract_block=5, num_reconstruct_block=10, with_predeblur=False).eval()
    return torch.no_grad()(partial(net, torch.rand(1, 5, 3, 64, 64)))


def basicvsr() -> Callable[[], Any]:
    """A call of BasicVSR on a few frames."""
    register()
    from basicsr.archs.basicvsr_arch import BasicVSR

    return torch.no_grad()(
        partial(BasicVSR(num_feat=64, num_block=30).eval(), torch.rand(1, BASICVSR_FRAMES, 3, 64, 64))
    )


def prepared(name: str) -> Callable[[], Any]:
    """The call of a row."""
    return edvr() if name == UNIT else basicvsr() if name.startswith("BasicVSR") else gpemsr(*SETTINGS[name])


def rows(names: list[str], rounds: int, with_memory: bool) -> None:
    """The table of networks and ways."""
    names = [UNIT, f"BasicVSR x4, LR 64^2, of {BASICVSR_FRAMES}", *names]
    taken = interleaved({name: prepared(name) for name in names}, rounds)
    table = Table(
        None, f"One section, {processor()}, torch {torch.__version__}", ["", "CPU s", "wall s", "units", "GB"]
    )
    for name in names:
        sections = BASICVSR_FRAMES if name.startswith("BasicVSR") else 1
        cpu, wall = taken[name].cpu / sections, taken[name].wall / sections
        memory = f"{peak_of(prepared, name):.2f}" if with_memory else "-"
        table.row(name, f"{cpu:.2f}", f"{wall:.2f}", f"{cpu / taken[UNIT].cpu:.2f}", memory)


@torch.no_grad()
def parts(scale: int, size: int, precision: str, rounds: int) -> None:
    """The table of parts: each is run alone on the inputs that it gets."""
    net, inputs, counts = network(scale), {}, dict.fromkeys(PARTS, 0)

    def keep(name: str, _: torch.nn.Module, arguments: tuple) -> None:
        inputs[name] = arguments
        counts[name] += 1

    hooks = [net.get_submodule(name).register_forward_pre_hook(partial(keep, name)) for name in PARTS]
    one_section(in_precision(net, precision, "cpu"), torch.rand(1, 1, size, size))
    for hook in hooks:
        hook.remove()
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    convolution = lay_out(torch.nn.Conv2d(64, 64, 3, padding=1).to(dtype))
    image = torch.rand(1, 64, 256, 256, dtype=dtype).to(memory_format=torch.channels_last)
    calls: dict[str, Callable] = {"3x3 convolution": partial(convolution, image)}
    calls |= {name: partial(net.get_submodule(name), *inputs[name]) for name in PARTS}
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        taken = interleaved(calls, rounds)
        work = {name: count_macs(call) for name, call in calls.items()}
    title = f"Parts of GPEMSR x{scale}, LR {size}^2, {precision}"
    table = Table(None, title, ["part", "times", "CPU s", "GMAC", "GFLOP/s", "of the convolution"])
    rate = 0.0
    for name, macs in work.items():
        times = counts.get(name, 1)
        reached = 2 * macs / taken[name].cpu / 1e9
        rate = rate or reached
        table.row(
            name,
            times,
            f"{times * taken[name].cpu:.3f}",
            f"{times * macs / 1e9:.1f}",
            f"{reached:.0f}",
            f"{reached / rate:.0%}",
        )


@torch.no_grad()
def growth(sizes: list[int], counts: list[int], rounds: int, keep: int) -> None:
    """The tables of cost by area and by sections; malloc keeps freed blocks of less than ``keep`` MB."""
    keep_freed_memory(keep * 2**20)
    columns = ["LR", "CPU s", "by area, over the first", "GB above the start"]
    for precision in ("fp32", "bf16"):
        taken = interleaved({str(n): gpemsr(8, n, "streamed", precision) for n in sizes}, rounds)
        table = Table(None, f"x8, streamed {precision}: cost by area", columns)
        first = taken[str(sizes[0])].cpu / sizes[0] ** 2
        for n in sizes:
            area, peak = taken[str(n)].cpu / n**2 / first, peak_of(kept, keep, n, precision)
            table.row(f"{n}^2", f"{taken[str(n)].cpu:.2f}", f"{area:.2f}", f"{peak:.2f}")
    net = in_precision(network(8), "bf16", "cpu")
    calls = {str(n): partial(stack, net, torch.rand(n, 1, 32, 32)) for n in counts}
    taken = interleaved(calls, rounds)
    table = Table(None, "x8, LR 32^2, bf16: cost by sections", ["sections", "CPU s", "CPU s a section"])
    for n in counts:
        table.row(n, f"{taken[str(n)].cpu:.2f}", f"{taken[str(n)].cpu / n:.3f}")


def kept(keep: int, size: int, precision: str) -> Callable[[], Any]:
    """A call of :func:`growth`, in a process of its own."""
    keep_freed_memory(keep * 2**20)
    return gpemsr(8, size, "streamed", precision)


def stack(net: Any, lq: torch.Tensor) -> None:
    """Super-resolve a stack."""
    for _ in super_resolve_sections(net, lq):
        pass


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rows, one round, no memory: under two minutes")
    parser.add_argument("--growth", action="store_true", help="cost by area and by sections")
    megabytes = LARGE_BLOCK // 2**20
    help_text = f"with --growth: freed blocks of less are kept by malloc (default {megabytes}, as in the commands)"
    parser.add_argument("--keep", type=int, default=megabytes, metavar="MB", help=help_text)
    parser.add_argument("--rounds", type=int, default=3, help="that count (default 3)")
    parser.add_argument("--compiled", action="store_true", help="torch.compile too: minutes more, needs a compiler")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rounds = 1 if arguments.quick else arguments.rounds
    if arguments.growth:
        sizes, counts = ([32, 64], [8, 16]) if arguments.quick else ([64, 128, 256], [8, 16, 32])
        growth(sizes, counts, rounds, arguments.keep)
        return 0
    names = QUICK if arguments.quick else [n for n in SETTINGS if arguments.compiled or "compiled" not in n]
    rows(names, rounds, with_memory=not arguments.quick)
    for precision in ("fp32", "bf16"):
        parts(8, 64, precision, rounds)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
