r"""How much could the prior give? Stage III from scratch without it, with predicted codes, and with those of HR.

    python benchmarks/oracle_codes.py --train shipped/data/fib25_train_hr.lmdb --test shipped/data/fib25_test_hr.lmdb \
        --prior experiments/shipped_stage2_x8/models/net_g_latest.pth --out runs/oracle

The network of ``options/cpu_hour/stage3_x8.yml``, its loss and its optimiser, on windows of five HR sections and LR
made of them (bicubic). With the codes of all five HR sections, which nobody has who needs them, the gain over no
prior is the most that any indexer could reach. PSNR is of 8-bit images of the test sections, averaged weights.
Prints a table; finished runs are not repeated.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
from pathlib import Path

import numpy as np
import torch
from tqdm import trange

from gpemsr import compat, register
from gpemsr.archs.indexer_arch import LatentIndexer, PriorOutput
from gpemsr.data.degradations import degrade
from gpemsr.data.section_sampling import window_indices
from gpemsr.data.section_store import open_section_store
from gpemsr.files import replaced
from gpemsr.models.gpemsr_model import load_prior, psnr
from gpemsr.models.stage_base import parameter_groups
from gpemsr.options.read import read_options, to_plain

OPTIONS = "options/cpu_hour/stage3_x8.yml"
SCALE, FRAMES, ALIGNED, WARM_UP, DECAY = 8, 5, 32, 100, 0.998
PRIORS = ("none", "predicted", "true")


class CodesOfHR(torch.nn.Module):
    """Stands in for the indexer: its codes are those of the HR sections in ``hr`` (n, 1, H, W)."""

    def __init__(self, indexer: LatentIndexer) -> None:
        super().__init__()
        self.indexer = indexer
        self.vqgan = indexer.vqgan
        self.hr: torch.Tensor

    @torch.no_grad()
    def prior(self, lq: torch.Tensor) -> PriorOutput:
        """As :meth:`LatentIndexer.prior`."""
        codes = self.indexer.targets(self.hr)
        image, features = self.vqgan.decode(codes)
        sure = torch.ones_like(codes, dtype=image.dtype)
        return PriorOutput(image, features, codes, sure, 0 * sure)


def stacks(root: str) -> list[np.ndarray]:
    """The volumes of an LMDB, float32 (z, y, x) in [0, 1]; y and x are cut to multiples of 32."""
    store = open_section_store(root, "lmdb")
    volumes = [np.stack([store.read_float(v, z) for z in info.sections]) for v, info in store.volumes.items()]
    return [v[:, : v.shape[1] // ALIGNED * ALIGNED, : v.shape[2] // ALIGNED * ALIGNED] for v in volumes]


def make_lr(hr: np.ndarray) -> np.ndarray:
    """LR sections (z, h, w) of HR sections."""
    return np.stack([degrade(np.ascontiguousarray(section), SCALE, "bicubic") for section in hr])


def draw(volumes: list[np.ndarray], rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """A random window of HR crops, flipped and transposed at random, and its LR: (5, size, size), (5, h, w)."""
    weights = np.array([volume.size for volume in volumes], float)
    volume = volumes[rng.choice(len(volumes), p=weights / weights.sum())]
    z, y, x = (int(rng.integers(n)) for n in (len(volume), volume.shape[1] - size + 1, volume.shape[2] - size + 1))
    window = volume[window_indices(z, len(volume), FRAMES), y : y + size, x : x + size]
    flips = [axis for axis in range(3) if rng.random() < 0.5]
    window = np.flip(window, flips)
    window = np.ascontiguousarray(window.swapaxes(1, 2) if rng.random() < 0.5 else window)
    return window, make_lr(window)


@torch.no_grad()
def score(net: torch.nn.Module, volumes: list[np.ndarray], device: str) -> float:
    """Mean PSNR (dB) of all sections."""
    found = []
    for volume in volumes:
        hr = torch.from_numpy(volume).to(device)[:, None]
        if isinstance(net.prior, CodesOfHR):
            net.prior.hr = hr
        sections = net.encode_sections(torch.from_numpy(make_lr(volume)).to(device)[None, :, None])
        for z in range(len(hr)):
            sr = net.reconstruct(sections.window(window_indices(z, len(hr), FRAMES)))
            found.append(psnr((255 * sr).round() / 255, hr[z : z + 1]).item())
    return float(np.mean(found))


def run(arguments: argparse.Namespace, prior: str, seed: int) -> list[tuple[int, float]]:
    """Train once; (iterations, PSNR) along the way."""
    from basicsr.archs import build_network
    from basicsr.losses import build_loss
    from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn

    device, total = arguments.device, arguments.iterations
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    options = to_plain(read_options(OPTIONS))
    network = options["network_g"] | ({"type": "GPEMSRWithout", "without": "prior"} if prior == "none" else {})
    net = build_network(network).to(device)
    if prior != "none":
        load_prior(net, arguments.prior)
    if prior == "true":
        net.add_module("prior", CodesOfHR(net.prior))
    rate = options["train"]["optim_g"]["lr"]
    optimizer = torch.optim.Adam(parameter_groups(net, options["train"], 0.1), lr=rate, betas=(0.9, 0.99))
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda i: min(1, (i + 1) / WARM_UP) * (0.5 + 0.5 * np.cos(np.pi * i / total) + 1e-3)
    )
    loss = build_loss(dict(options["train"]["pixel_opt"]))
    averaged = AveragedModel(net, avg_fn=get_ema_avg_fn(DECAY))
    training, test = stacks(arguments.train), stacks(arguments.test)
    found = []
    for iteration in trange(1, total + 1, desc=f"{prior}, seed {seed}", disable=None):
        items = [draw(training, rng, arguments.crop) for _ in range(arguments.batch)]
        hr, lq = (torch.from_numpy(np.stack(part)).to(device) for part in zip(*items, strict=True))
        if prior == "true":
            net.prior.hr = hr.flatten(0, 1)[:, None]
        optimizer.zero_grad()
        loss(net.train()(lq[:, :, None]), hr[:, FRAMES // 2, None]).backward()
        optimizer.step()
        scheduler.step()
        averaged.update_parameters(net)
        if iteration % max(1, total // 4) == 0:
            tested = copy.deepcopy(averaged.module).eval()
            found.append((iteration, score(tested, test, device)))
    return found


def main() -> int:
    """Run all settings and print the table."""
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--train", required=True, help="LMDB of HR sections")
    parse.add_argument("--test", required=True, help="LMDB of HR sections held back")
    parse.add_argument("--prior", required=True, help="checkpoint of stage II")
    parse.add_argument("--out", type=Path, required=True, help="folder of the results")
    parse.add_argument("--seeds", type=int, default=3, help="seeds 0, 1, ... (default 3)")
    parse.add_argument("--iterations", type=int, default=1200)
    parse.add_argument("--batch", type=int, default=4)
    parse.add_argument("--crop", type=int, default=192, help="side of the HR crops (default 192)")
    parse.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parse.parse_args()
    register()
    compat.apply()
    arguments.out.mkdir(parents=True, exist_ok=True)
    print("| codes | seed | PSNR (dB) after iterations |\n|---|---|---|")
    for seed, prior in itertools.product(range(arguments.seeds), PRIORS):
        file = arguments.out / f"{prior}_{seed}.json"
        if not file.exists():
            with replaced(file) as temporary:
                temporary.write_text(json.dumps(run(arguments, prior, seed)))
        curve = ", ".join(f"{iteration}: {value:.2f}" for iteration, value in json.loads(file.read_text()))
        print(f"| {prior} | {seed} | {curve} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
