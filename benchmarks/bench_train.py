"""What a training step of stage III takes on a CPU: paper size, one HR crop of 256^2, fp32 and bf16.

    python benchmarks/bench_train.py --data fib25.tif
    python benchmarks/bench_train.py --quick

Random weights, one thread, CPU seconds: medians of interleaved steps. Crops are of the stack (z, y, x), without one of
the phantom; LR by area. The loss alone compares features of the size that VGG19 gives of such a crop.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import Table, interleaved, paper_options, peak_of, processor

from gpemsr import compat, register
from gpemsr.data.volumes.reader import open_volume
from gpemsr.phantom.stack import phantom_sections

FRAMES = 5


def sections_of(data: Path | None) -> np.ndarray:
    """Some sections of the stack in [0, 1]."""
    if data is None:
        return np.stack([image for image, _ in phantom_sections((8, 256, 256), (40.0, 4.0, 4.0))]) / np.float32(255)
    with open_volume(data) as volume:
        sections = volume.read(range(min(16, volume.shape[0])))
    return sections / np.float32(np.iinfo(sections.dtype).max)


def stage3(precision: str, size: int, data: Path | None) -> Callable[[], Any]:
    """A call that takes one step of stage III at x8."""
    register()
    compat.apply()
    from basicsr.models import build_model

    torch.manual_seed(0)
    options = paper_options(8)
    options |= {"is_train": True, "dist": False, "rank": 0, "world_size": 1, "num_gpu": 0}
    options["train"]["precision"] = precision
    model = build_model(options)
    stack = torch.from_numpy(sections_of(data))[:, None]
    random = np.random.default_rng(0)

    def step() -> None:
        z, y, x = (
            random.integers(n - side + 1) for n, side in zip(stack[:, 0].shape, (FRAMES, size, size), strict=True)
        )
        window = stack[z : z + FRAMES, :, y : y + size, x : x + size]
        lq = torch.nn.functional.avg_pool2d(window, 8)
        model.feed_data({"lq": lq[None], "gt": window[None, FRAMES // 2]})
        model.optimize_parameters(2)

    return step


def contextual(size: int) -> Callable[[], Any]:
    """A call of the contextual loss, with its gradient."""
    register()
    from gpemsr.losses.contextual_loss import contextual_similarity

    torch.manual_seed(0)
    common = torch.nn.functional.avg_pool2d(torch.randn(1, 256, size // 4, size // 4), 7, 1, 3).relu()
    x, y = common + 0.1 * torch.randn_like(common), common + 0.05 * torch.randn(FRAMES, *common.shape[1:])
    return lambda: contextual_similarity(x.clone().requires_grad_(), y, 0.5).log().mean().backward()


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="EM stack (default: the phantom)")
    parser.add_argument("--rounds", type=int, default=5, help="that count (default 5)")
    parser.add_argument("--quick", action="store_true", help="crops of 64^2, one round, no memory: does it run?")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    size, rounds = (64, 1) if arguments.quick else (256, arguments.rounds)
    prepare = {f"step, {name}": partial(stage3, name, size, arguments.data) for name in ("fp32", "bf16")}
    prepare["contextual loss alone"] = partial(contextual, size)
    taken = interleaved({name: call() for name, call in prepare.items()}, rounds)
    columns = ["crop of " + f"{size}^2", "CPU s", "wall s", "over the first", "GB above the start"]
    table = Table(None, f"Training of stage III, {processor()}, torch {torch.__version__}", columns)
    for name, call in prepare.items():
        memory = "-" if arguments.quick else f"{peak_of(call):.2f}"
        ratio = taken[name].cpu / taken["step, fp32"].cpu
        table.row(name, f"{taken[name].cpu:.2f}", f"{taken[name].wall:.2f}", f"{ratio:.2f}", memory)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
