"""gpemsr-upscale in figures: speed, memory, seams, precision, scale-out, and what survives being killed.

    python benchmarks/bench_volume.py --raw raw.tif --weights net_g_latest.pth -opt stage3_x8.yml

prints a table of what each part measured. ``raw.tif`` is a stack of HR sections like those that the network was trained
on; LR sections are made from it. ``--only streamed memory ...`` runs some parts.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tifffile
import torch
import zarr
from measuring import peak_of

from gpemsr import compat, register
from gpemsr.archs.gpemsr_arch import GPEMSR
from gpemsr.data.degradations import degrade
from gpemsr.data.grey_values import GreyRange, eight_bits
from gpemsr.volume.blocks import seams_of
from gpemsr.volume.perform import perform
from gpemsr.volume.plan import Job
from gpemsr.volume.planning import prepare
from gpemsr.volume.section_loop import super_resolve_sections
from gpemsr.volume.tiles import Grid

Rows = Iterator[tuple[str, str]]
SCALE, VOXEL_SIZE = 8, (40.0, 80.0, 80.0)
GREY = GreyRange(0, 255)


class Bench:
    """The parts, each a generator of (what, figure)."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.arguments, self.folder = arguments, folder
        self.hr = tifffile.imread(arguments.raw)[:: arguments.every][: arguments.sections]

    def stack(self, hr: np.ndarray, name: str) -> str:
        """LR sections of HR ones, as a TIFF."""
        lr = [eight_bits(degrade(GREY.to_unit(z), SCALE, "bicubic", (0, SCALE, k))) for k, z in enumerate(hr)]
        tifffile.imwrite(self.folder / name, np.stack(lr), photometric="minisblack")
        return str(self.folder / name)

    def job(self, source: str, output: str, **changes) -> Job:
        """A job with the network of the command line; nothing of an earlier one is left."""
        shutil.rmtree(self.folder / output, ignore_errors=True)
        network = {"weights": self.arguments.weights, "options": self.arguments.opt}
        return Job(source, str(self.folder / output), voxel_size=VOXEL_SIZE, **network | changes)

    def done(self, job: Job) -> tuple[np.ndarray, dict, float]:
        """The finest level that a job makes, its summary, its CPU time."""
        run, _ = prepare(job)
        start = time.process_time()
        summary = perform(run)
        assert summary is not None
        return zarr.open_array(f"{job.output}/0", mode="r")[:], summary, time.process_time() - start

    def streamed(self) -> Rows:
        """The loop along z against the windowed forward: full size, x8, LR 64 x 64."""
        torch.manual_seed(0)
        net = GPEMSR(SCALE, vgg_weights=None, flow_weights=None).eval()
        lq = torch.rand(8, 1, 64, 64)
        start = time.process_time()
        with torch.no_grad():
            windows = [net(lq[None, z - 2 : z + 3])[0] for z in (2, 4)]
        windowed = (time.process_time() - start) / len(windows)
        results = super_resolve_sections(net, lq, range(2, 6))
        first = next(results)
        start = time.process_time()
        others = list(results)
        took = (time.process_time() - start) / len(others)
        difference = max((a[0] - b).abs().max().item() for a, b in zip((first, others[1]), windows, strict=True))
        yield "streamed against windowed, full size, LR 64 x 64: largest difference", f"{difference:.1e}"
        yield "its CPU time per section", f"{took:.2f} s of {windowed:.2f} s ({took / windowed:.0%})"

    def memory(self) -> Rows:
        """Peak memory with 20 and with 100 sections, each in a process of its own."""
        peaks = []
        for count in (20, 100):
            hr = np.resize(self.hr, (count, *self.hr.shape[1:]))
            job = self.job(self.stack(hr, f"{count}.tif"), f"{count}.zarr", depth=16)
            done = self.command(job, "--depth", "16", code=PEAK)
            peaks.append(int(done.stdout.split()[-1]))
        change = peaks[1] / peaks[0] - 1
        yield "peak memory, 20 and 100 sections", f"{peaks[0] / 1e6:.0f} and {peaks[1] / 1e6:.0f} MB ({change:+.1%})"

    def context(self) -> Rows:
        """What of a whole section's memory the prior takes: full size, x8, fp32."""
        for side in (64, 128):
            peaks = [peak_of(part_of_section, part, side) for part in ("codes", "prior", "fused prior", "all")]
            said = ", ".join(f"{peak:.2f}" for peak in peaks)
            yield f"LR {side} x {side}: codes, prior, prior with its fusion, all", f"{said} GB"

    def precision(self) -> Rows:
        """bf16 against fp32."""
        source = self.stack(self.hr, "lr.tif")
        (full, _, slow), (half, _, fast) = (
            self.done(self.job(source, "a.zarr", precision=p)) for p in ("fp32", "bf16")
        )
        yield "PSNR fp32, bf16", f"{psnr(full, self.hr):.3f} dB, {psnr(half, self.hr):.3f} dB"
        yield "CPU time fp32 over bf16", f"{slow / fast:.2f}"

    def seams(self) -> Rows:
        """Tiles against whole sections, blended and not."""
        mosaic = np.tile(self.hr[:2, :512, :512], (1, 4, 4))
        for name, hr, tile in (("stack", self.hr[:8], 40), ("mosaic 4 x 4", mosaic, 96)):
            source = self.stack(hr, "lr.tif")
            whole, _, _ = self.done(self.job(source, "a.zarr", tile=0))
            yield f"{name}: PSNR of whole sections", f"{psnr(whole, hr):.3f} dB"
            for kind, overlap, halo in (("blended", 16, 4), ("halo 8, not blended", 16, 8), ("hard", 0, 0)):
                image, _, _ = self.done(self.job(source, "b.zarr", tile=tile, overlap=overlap, halo=halo))
                shape = (len(hr), *(n // SCALE for n in image.shape[1:]))
                grid = Grid(shape, tile, overlap, halo, depth=len(hr), tiles=max(shape))  # one block
                steps = (seams_of(each, grid, grid.block(0), SCALE).ratio for each in (image, whole))
                yield (
                    f"{name}: tiles of {tile}, {kind}: PSNR; steps where tiles meet over those elsewhere, and of whole "
                    "sections at the same places",
                    "{:.3f} dB; {:.4f}, {:.4f}".format(psnr(image, hr), *steps),
                )

    def scale_out(self) -> Rows:
        """Two local Dask workers against one, one of them killed, and two parts."""
        from gpemsr.volume.scheduler import Scheduler

        count = self.arguments.sections * 3 // 2
        source = self.stack(np.resize(self.hr, (count, *self.hr.shape[1:])), "lr.tif")
        first: Path | None = None
        seconds: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
        with contextlib.ExitStack() as stack:
            schedulers = {n: stack.enter_context(Scheduler(f"local:{n}", threads=1)) for n in seconds}
            for turn in range(1 + self.arguments.rounds):  # in the first, workers import
                for workers, execute in schedulers.items():
                    run, _ = prepare(self.job(source, f"{workers}-{turn}.zarr", depth=2))
                    start, before = time.perf_counter(), cpu_seconds(execute.pids())
                    perform(run, execute=execute)
                    taken = time.perf_counter() - start, cpu_seconds(execute.pids()) - before
                    seconds[workers] += [taken] if turn else []
                    first = first or run.job.path
                    assert same(run.job.path, first)
        load = f"load {os.getloadavg()[0]:.1f}"
        for workers, taken in seconds.items():
            each = ", ".join(f"{wall:.1f} s (CPU {cpu:.1f} s)" for wall, cpu in taken)
            yield f"Dask workers: {workers}; {count // 2} blocks take", f"{each}; {load}"
        one, two = (statistics.median(wall for wall, _ in seconds[n]) for n in (1, 2))
        yield "two Dask workers over one, medians", f"{one / two:.2f} times the throughput"
        with Scheduler("local:2", threads=1) as execute:
            victim = execute.pids()[0]
            killed = []

            def kill(_: int) -> None:
                if not killed:
                    killed.append(victim)
                    os.kill(victim, signal.SIGKILL)

            run, _ = prepare(self.job(source, "killed.zarr", depth=2))
            run.create()
            for _, error in execute(run, run.tasks(0), kill):
                assert error is None, error
            perform(run)
        yield "a worker killed: same bytes", str(same(self.folder / "killed.zarr", first))
        job = self.job(source, "parts.zarr", depth=2)
        for part in ("1/2", "2/2"):
            self.command(job, "--depth", "2", "--part", part)
        yield "--part 1/2 and 2/2: same bytes", str(same(self.folder / "parts.zarr", first))

    def killed(self) -> Rows:
        """Killed at ten random moments, then resumed."""
        source = self.stack(np.resize(self.hr, (48, *self.hr.shape[1:])), "lr.tif")
        plain = self.job(source, "a.zarr", depth=2)
        start = time.perf_counter()
        self.command(plain, "--depth", "2")
        whole = time.perf_counter() - start
        job, moments, again, resumed = self.job(source, "b.zarr", depth=2), random.Random(0), 0, []
        done = self.folder / "b.zarr.run" / "done"
        for _ in range(10):
            before = {file: file.stat().st_mtime_ns for file in done.glob("*")}
            process = self.start(job, "--depth", "2", *resumed)
            time.sleep(moments.uniform(0.3, 0.6) * whole)
            process.kill()
            process.wait()
            if Path(job.output).exists():
                break
            resumed = ["--resume"] if done.is_dir() else []
            again += sum(
                not (done / name).exists() or (done / name).stat().st_mtime_ns != at for name, at in before.items()
            )
        if not Path(job.output).exists():
            self.command(job, "--depth", "2", *resumed)
        yield "killed up to ten times and resumed: same bytes", str(same(Path(job.output), Path(plain.output)))
        yield "finished blocks that were done again", str(again)

    def sparse(self) -> Rows:
        """Planning 20 GB of LR voxels, of which 16 blocks have tissue."""
        path = self.folder / "large.zarr"
        array = zarr.create_array(str(path), shape=(1280, 4096, 4096), chunks=(64, 128, 128), dtype="uint8")
        array[:64, :832, :832] = np.random.default_rng(0).integers(1, 255, (64, 832, 832), np.uint8)
        mask = np.zeros((80, 64, 64), np.uint8)
        mask[:4, :13, :13] = 1  # 2 x 2 blocks of 4 x 4 tiles, 4 along z
        tifffile.imwrite(self.folder / "mask.tif", mask, photometric="minisblack")
        opt = self.folder / "bicubic.yml"
        opt.write_text("network_g: {type: Bicubic, scale: 8}\n")
        job = Job(str(path), str(self.folder / "large_sr.zarr"), options=str(opt), voxel_size=VOXEL_SIZE)
        words = ["--mask", str(self.folder / "mask.tif"), "--tile", "128", "--depth", "16", "--memory", "2.7"]
        for what, code in (("planning", PLAN), ("dry run", PEAK)):
            lines = self.command(job, *words, "--dry-run", code=code).stdout.splitlines()
            seconds, peak = (float(word) for word in lines[-1].split())
            blocks = next(line for line in lines if line.startswith("plan:")).split("; ")[1]
            yield f"{what} of 21 GB of LR voxels", f"{seconds:.1f} s, {peak / 1e6:.0f} MB; {blocks}"

    def start(self, job: Job, *words: str, code: str = "") -> subprocess.Popen:
        """gpemsr-upscale as a process."""
        arguments = [job.source, job.output, "--voxel-size", *map(str, VOXEL_SIZE)]
        arguments += ["--weights", job.weights] if job.weights else []
        arguments += ["-opt", job.options] if job.options else []
        program = ["-c", code] if code else ["-m", "gpemsr.cli.upscale"]
        return subprocess.Popen(
            [sys.executable, *program, *arguments, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def command(self, job: Job, *words: str, code: str = "") -> subprocess.CompletedProcess:
        """gpemsr-upscale, waited for."""
        process = self.start(job, *words, code=code)
        out, err = process.communicate()
        assert process.returncode == 0, err
        return subprocess.CompletedProcess([], 0, out, err)


TAKEN = """
(line,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(time.perf_counter() - start, 1024 * int(line.split()[1]))
"""  # the resource module would count the memory of the process that started this one
PEAK = f"""
import sys, time
start = time.perf_counter()
from gpemsr.cli.upscale import main
assert main(sys.argv[1:]) == 0
{TAKEN}"""
PLAN = f"""
import sys, time
from types import SimpleNamespace
start = time.perf_counter()
from gpemsr.cli.upscale import parser, read_job
from gpemsr.volume.planning import make_plan, open_stack
from gpemsr.volume.preflight import Cost, Machine
job = read_job(parser().parse_args(sys.argv[1:]))
network = SimpleNamespace(section={{"type": "Bicubic", "scale": 8}}, scale=8, num_frame=1, has_prior=False)
plan, needs = make_plan(job, open_stack(job), network, Cost(0, 10_000, 1e-5), Machine(job.memory), {{}})
print(needs.text(plan))
{TAKEN}"""


def part_of_section(part: str, side: int) -> Callable[[], object]:
    """What computes a part of one section with the full-size network."""
    net = GPEMSR(SCALE, vgg_weights=None, flow_weights=None).eval()
    lq, feat = torch.rand(1, 1, side, side), torch.rand(1, net.conv_first.out_channels, side, side)

    @torch.no_grad()
    def everything(lq: torch.Tensor = lq) -> None:
        encoded = net.encode_sections(lq[None])
        net.reconstruct(type(encoded).cat([encoded] * net.num_frame))

    everything(lq[..., :16, :16])
    return {
        "codes": torch.no_grad()(lambda: net.prior(lq)),
        "prior": lambda: net.prior.prior(lq),
        "fused prior": torch.no_grad()(lambda: net.fuse_prior(lq, feat)),
        "all": everything,
    }[part]


def psnr(image: np.ndarray, hr: np.ndarray) -> float:
    """Mean over sections, in dB, of 8-bit images."""
    errors = (image.astype(np.float64) - hr[:, : image.shape[1], : image.shape[2]]) ** 2
    return float(np.mean(10 * np.log10(255**2 / errors.mean(axis=(1, 2)))))


def cpu_seconds(pids: list[int]) -> float:
    """Of processes, so far; Linux alone tells."""
    ticks = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13] for pid in pids)
    return sum(int(tick) for pair in ticks for tick in pair) / os.sysconf("SC_CLK_TCK")


def same(a: Path, b: Path) -> bool:
    """Whether all levels of two images have the same files."""
    return [*contents(a)] == [*contents(b)]


def contents(image: Path) -> Iterator[tuple[str, str]]:
    """Names and hashes of the shards."""
    for file in sorted(image.glob("[0-9]*/c/**/*")):
        if file.is_file():
            yield str(file.relative_to(image)), hashlib.sha256(file.read_bytes()).hexdigest()


def main() -> None:
    """Run the parts and print their table."""
    parts: dict[str, Callable[[Bench], Rows]] = {
        name: getattr(Bench, name)
        for name in ("streamed", "memory", "context", "precision", "seams", "scale_out", "killed", "sparse")
    }
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--raw", required=True, help="TIFF of HR sections, uint8")
    parse.add_argument("--weights", required=True, help="checkpoint of an x8 network")
    parse.add_argument("-opt", help="its option file, if the checkpoint does not say")
    parse.add_argument("--every", type=int, default=4, help="take every k-th section (default 4)")
    parse.add_argument("--sections", type=int, default=16, help="how many (default 16)")
    parse.add_argument("--rounds", type=int, default=3, help="of one worker and two in turn (default 3)")
    parse.add_argument("--only", nargs="+", choices=parts, default=list(parts), help="parts to run")
    arguments = parse.parse_args()
    register()
    compat.apply()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments, Path(folder))
        print(f"{os.cpu_count()} CPUs, {torch.get_num_threads()} threads, torch {torch.__version__}")
        print("\n| what | figure |\n|---|---|", flush=True)
        for name in arguments.only:
            for what, figure in parts[name](bench):
                print(f"| {what} | {figure} |", flush=True)


if __name__ == "__main__":
    main()
