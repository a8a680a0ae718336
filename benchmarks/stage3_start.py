"""Does stage III always leave the bilinear image? Trains it with many seeds, thread counts and CPU capabilities.

    python benchmarks/stage3_start.py --out runs/start/phantom --seeds 16
    python benchmarks/stage3_start.py --out runs/start/fib25 --data fib25.tif --every 4 --seeds 8
    python benchmarks/stage3_start.py --out runs/start/paper --paper --seeds 8 --iterations 100

Stages I and II are trained once, as ``make demo`` does; then stage III of ``options/demo`` runs once for each setting,
by ``gpemsr-train``. With ``--paper`` it is the network of ``options/stage3_x8.yml`` instead, on small crops, with
random weights in all that is frozen and without the contextual loss.
What has been trained is not trained again. Prints a table; exits with 1 if a run is below ``--least``.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from tqdm import tqdm

from gpemsr import register
from gpemsr.benchmark.demo import Demo, write_options
from gpemsr.benchmark.training_run import train
from gpemsr.options.read import read_options, to_plain

EARLY = 150  # iterations at which every run must have left the bilinear image
STAGES = ("stage1", "stage2_x8", "stage3_x8")
DEMO, PAPER = Path("options/demo"), Path("options/stage3_x8.yml")
NUMBER = r"(-?[\d.]+(?:e[-+]?\d+)?|nan)"


def parser() -> argparse.ArgumentParser:
    """The script's options."""
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--out", type=Path, required=True, help="folder for data, trainings and logs")
    parse.add_argument("--data", type=Path, help="EM stack (default: the phantom)")
    parse.add_argument("--every", type=int, default=1, help="take every K-th section")
    parse.add_argument("--voxel-size", nargs=3, type=float, metavar=("Z", "Y", "X"))
    parse.add_argument("--seeds", type=int, default=8, help="seeds 0, 1, ... (default 8)")
    parse.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parse.add_argument("--capabilities", nargs="+", default=["default", "avx2"], help="ATEN_CPU_CAPABILITY")
    parse.add_argument("--iterations", type=int, default=350, help="of stage III (default 350)")
    parse.add_argument("--early", action="store_true", help=f"stop after {EARLY} iterations of these")
    parse.add_argument("--cores", type=int, default=os.cpu_count(), help="to use at a time")
    parse.add_argument("--paper", action="store_true", help="the paper's network")
    parse.add_argument(
        "--least",
        nargs=2,
        type=float,
        metavar=("EARLY", "END"),
        default=(0.15, 0.3),
        help=f"dB above the bilinear image after {EARLY} iterations, and above bicubic at the end (default 0.15 0.3)",
    )
    return parse


def prepare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Data and prior; returns the options of stage III."""
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "data" / "demo_test_lr_x8.lmdb").exists():
        Demo(out, DEMO, 8, arguments.data, None, arguments.voxel_size, arguments.every).make_data()
    for name in STAGES:
        write_options(DEMO / f"{name}.yml", out)
        if (
            name != STAGES[-1]
            and not arguments.paper
            and not (out / f"experiments/{name}/models/net_g_latest.pth").exists()
        ):
            train(name, out)
    options = yaml.safe_load((out / "options" / "stage3_x8.yml").read_text())
    return paper_options(out, options) if arguments.paper else options


def paper_options(out: Path, options: dict[str, Any]) -> dict[str, Any]:
    """The paper's network and schedule on the demo's data; a random prior is written for it."""
    register()
    from basicsr.archs import build_network

    paper = to_plain(read_options(PAPER))
    network = {**paper["network_g"], "vgg_weights": None, "flow_weights": None}
    torch.manual_seed(0)
    prior = build_network({"type": "LatentIndexer", "scale": 8, **network["prior"]})
    torch.save({"params": prior.state_dict()}, out / "prior.pth")
    options["datasets"]["train"] |= {"gt_size": 64, "batch_size_per_gpu": 1}
    options["datasets"]["val"] |= {"dataroot_gt": "data/demo_test_hr.lmdb", "dataroot_lq": "data/demo_test_lr_x8.lmdb"}
    options["train"] = {**paper["train"], "contextual_opt": None}
    return {**options, "network_g": network, "path": {**options["path"], "pretrain_prior": "prior.pth"}}


def run(arguments: argparse.Namespace, options: dict[str, Any], setting: tuple[int, str, int]) -> dict[str, float]:
    """Train with a setting (threads, capability, seed); what its log says."""
    threads, capability, seed = setting
    out, total = arguments.out, arguments.iterations
    name = f"{'paper' if arguments.paper else 'start'}_{threads}_{capability}_{seed}"
    if not is_done(out / f"{name}.log"):
        schedule = {"total_iter": EARLY if arguments.early else total}
        if not arguments.paper:
            schedule["scheduler"] = {**options["train"]["scheduler"], "periods": [total]}
        changed = {
            **options,
            "name": name,
            "manual_seed": seed,
            "num_gpu": 0,
            "train": {**options["train"], **schedule},
            "val": {**options["val"], "val_freq": total + 1 if arguments.paper else EARLY},
            "logger": {**options["logger"], "print_freq": 5, "use_tb_logger": False, "save_checkpoint_freq": total + 1},
        }
        (out / "options" / f"{name}.yml").write_text(yaml.safe_dump(changed))
        environment = {"OMP_NUM_THREADS": str(threads)}
        environment |= {} if capability == "default" else {"ATEN_CPU_CAPABILITY": capability}
        train(name, out, environment, bar_position=1)
    return figures((out / f"{name}.log").read_text())


def is_done(log: Path) -> bool:
    """Whether a training with this log ran to its end."""
    return log.exists() and "End of training" in log.read_text()


def figures(log: str) -> dict[str, float]:
    """PSNR above the bilinear image early and at the end, PSNR at the end, lowest attention."""
    gains = [float(x) for x in re.findall(rf"# psnr_above_bilinear: {NUMBER}", log)]
    scores = [float(x) for x in re.findall(rf"# psnr: {NUMBER}", log)]
    attention = [float(x) for x in re.findall(rf"attention: {NUMBER}", log)]
    return {"early": gains[0], "end": gains[-1], "psnr": scores[-1], "attention": min(attention)}


def bicubic_psnr(out: Path) -> float:
    """Mean PSNR (dB) of the bicubic images of the held-back sections."""
    register()
    from basicsr.data import build_dataset

    from gpemsr.archs.baselines_arch import Bicubic
    from gpemsr.data.grey_values import eight_bits
    from gpemsr.metrics.psnr_ssim import psnr_ssim

    options = yaml.safe_load((out / "options" / "stage3_x8.yml").read_text())["datasets"]["val"]
    roots = {key: str(out / options[key]) for key in ("dataroot_gt", "dataroot_lq")}
    stacks = build_dataset({**options, **roots, "scale": 8, "phase": "val"}).stacks.values()
    pairs = [(Bicubic(8)(stack[i][None])[0], stack.gt(i)) for stack in stacks for i in range(len(stack))]
    return float(np.mean([psnr_ssim(*(eight_bits(x[0].numpy()) for x in pair))["psnr"] for pair in pairs]))


def main() -> int:
    """Run all settings and print the table."""
    arguments = parser().parse_args()
    options = prepare(arguments)
    bicubic = bicubic_psnr(arguments.out)
    print(
        "| threads | CPU | runs | PSNR above bilinear, early: worst / median "
        "| above bicubic at the end: worst / median | lowest attention |"
    )
    print("|---|---|---|---|---|---|", flush=True)
    failures = 0
    for threads, capability in itertools.product(arguments.threads, arguments.capabilities):
        settings = [(threads, capability, seed) for seed in range(arguments.seeds)]
        with ThreadPoolExecutor(max(1, arguments.cores // threads)) as pool:
            runs = pool.map(lambda setting: run(arguments, options, setting), settings)
            found = list(tqdm(runs, total=len(settings), desc=f"{threads} threads, {capability}", disable=None))
        early = [figure["early"] for figure in found]
        gains = [figure["psnr"] - bicubic for figure in found]
        attention = min(figure["attention"] for figure in found)
        print(
            f"| {threads} | {capability} | {len(found)} | {min(early):+.2f} / {np.median(early):+.2f} dB "
            f"| {min(gains):+.2f} / {np.median(gains):+.2f} dB | {attention:.3f} |",
            flush=True,
        )
        if arguments.paper:
            failures += sum(figure["attention"] < 0.05 for figure in found)
        else:
            end = -np.inf if arguments.early else arguments.least[1]
            failures += sum(e < arguments.least[0] or g < end for e, g in zip(early, gains, strict=True))
    print(f"bicubic: {bicubic:.2f} dB; runs that fell short: {failures}")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
