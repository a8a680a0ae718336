r"""What pays: GPEMSR with and without a prior, with better priors, other losses and memory along z, next to EDVR.

    python benchmarks/prior_steps.py costs ...
    python benchmarks/prior_steps.py train ...
    python benchmarks/prior_steps.py table --out runs/steps --name fib25

docs/prior.md has the commands whole, and what came of them.

All networks are trained on the same windows (x8, bicubic LR made of shifted, flipped and transposed crops, one window
an iteration) for as many iterations as the same CPU time gives: ``costs`` measures an iteration of each step in turn,
on one thread. Every network is trained in two pieces, for 58 and 42 % of the time, as in
``options/benchmark/train_fib25.yml``; the first piece is shared. Priors are trained for longer than that and cost
nothing, so that their gain is the most that can be hoped for; the steps of one test set share them. Sections are scored
as 8-bit images; neurons (or, without neurons, membranes) by segmenters trained on HR sections, and by the same after
600 more iterations on the network's own super-resolved sections, all on the part that segmenters do not learn from.
``train`` goes on with what is not finished.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import math
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tifffile
import torch
from codebooks import KINDS, Indexer, Sections, StageOne, train_indexer, train_stage_one
from oracle_codes import FRAMES, SCALE, make_lr
from prior_networks import BEST, EXPECTED, TRUE, GPEMSRWithMemory, GPEMSRWithPrior, Prior, Truth, super_resolve
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import default_collate
from tqdm import trange
from tracing import EVERY, THRESHOLDS, halves

from gpemsr import compat, register
from gpemsr.archs.baselines_arch import Bicubic
from gpemsr.benchmark.options import slug
from gpemsr.benchmark.row import pixel_size_of, stack_of
from gpemsr.data.affinities import section_regions
from gpemsr.data.degradations import degrade
from gpemsr.data.grey_values import eight_bits
from gpemsr.data.section_sampling import window_indices
from gpemsr.data.section_store import open_section_store
from gpemsr.files import replaced
from gpemsr.losses.contextual_loss import ContextualLoss
from gpemsr.metrics.measures import measure_section
from gpemsr.models.gpemsr_model import attach_features
from gpemsr.options.read import read_options, to_plain
from gpemsr.segmentation.agglomeration import Agglomeration
from gpemsr.segmentation.fragments import connected_ids
from gpemsr.segmentation.prediction import predict_affinities
from gpemsr.volume.network import load_network

STAGE3 = "options/cpu_hour/stage3_x8.yml"
EDVR, BASICVSR = (f"options/demo/baselines/{name}_x8.yml" for name in ("edvr", "basicvsr_plusplus"))
CLIP, DECAY, WARM_UP = FRAMES + 2, 0.995, 100
FIRST, MIDDLE, LAST = 1e-3, 5e-4, 1e-6  # learning rates
PUBLISHED, FINE = "as published, 256 codes", "of HR less bicubic, 1024 codes at HR/8"
MEASURED = {"psnr": 2, "ssim": 4, "haarpsi": 4, "frc_nm": 1}
SEGMENTED = {"voi": 2, "adapted_rand": 3}
TUNING_RATE = 5e-4


@dataclass(frozen=True)
class Step:
    """A line of the table.

    Attributes:
        network: its name for :func:`build`.
        after: the step that it goes on from.
        share: of the training time, without that of ``after``.
        prior: kind of codebook and which of its latent vectors are decoded.
        loss: in addition to the pixel loss: ``affinity`` or ``contextual``.
        offset_rate: learning rate of the offsets of deformable convolutions, by that of the others.
    """

    network: str
    after: str | None = None
    share: float = 0.42
    prior: tuple[str, str] | None = None
    loss: str | None = None
    offset_rate: float = 0.1


STEPS = {
    "HR": Step("HR", share=0),
    "bicubic": Step("bicubic", share=0),
    "first piece": Step("without prior", share=0.58),
    "no prior": Step("without prior", "first piece"),
    "prior": Step("prior", "first piece", prior=(PUBLISHED, BEST)),
    "prior, true codes": Step("prior", "first piece", prior=(PUBLISHED, TRUE)),
    "finer prior": Step("prior", "first piece", prior=(FINE, EXPECTED)),
    "finer prior, true codes": Step("prior", "first piece", prior=(FINE, TRUE)),
    "memory along z": Step("memory", "first piece"),
    "prior, contextual loss": Step("prior", "first piece", prior=(PUBLISHED, BEST), loss="contextual"),
    "prior, affinity loss": Step("prior", "first piece", prior=(PUBLISHED, BEST), loss="affinity"),
    "EDVR, first piece": Step(EDVR, share=0.58),
    "EDVR": Step(EDVR, "EDVR, first piece"),
    "EDVR, affinity loss": Step(EDVR, "EDVR, first piece", loss="affinity"),
    "EDVR, offsets at full rate, first piece": Step(EDVR, share=0.58, offset_rate=1.0),
    "EDVR, offsets at full rate": Step(EDVR, "EDVR, offsets at full rate, first piece", offset_rate=1.0),
    "BasicVSR++": Step(BASICVSR, share=1.0, offset_rate=1.0),
}


class Windows:
    """Random windows of HR sections, and LR made of them, on the device."""

    def __init__(self, root: str, crop: int, device: str) -> None:
        store = open_section_store(root, "lmdb")
        stacks = [[store.read_float(name, z) for z in info.sections] for name, info in store.volumes.items()]
        self.volumes = [torch.from_numpy(eight_bits(np.stack(stack))).to(device) for stack in stacks]
        self.shares = np.array([volume.numel() for volume in self.volumes], float)
        self.crop, self.shrink = crop, torch.from_numpy(shrinking(crop)).to(device)

    def draw(self, rng: np.random.Generator, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """HR and LR of ``count`` sections in a row: (1, count, 1, crop, crop), (1, count, 1, crop / 8, ..)."""
        crop = self.crop
        volume = self.volumes[rng.choice(len(self.volumes), p=self.shares / self.shares.sum())]
        z, y, x = (int(rng.integers(size)) for size in (len(volume), *(n - crop + 1 for n in volume.shape[1:])))
        window = volume[window_indices(z, len(volume), count), y : y + crop, x : x + crop]
        window = window.flip([axis for axis in range(3) if rng.random() < 0.5])
        hr = (window.mT if rng.random() < 0.5 else window) / 255
        lr = (self.shrink @ hr @ self.shrink.T).clamp(0, 1)
        return hr[None, :, None], lr[None, :, None]


def shrinking(size: int) -> np.ndarray:
    """The matrix (size / 8, size) by which MATLAB's bicubic makes LR of HR, along one axis."""
    grey, rows = 0.5, np.eye(size, dtype=np.float32) / 2  # within [0, 1], whatever the kernel's lobes do
    made = [degrade(np.tile(grey + row / 2, (size, 1)), SCALE, "bicubic")[0] for row in rows]
    return (np.stack(made, 1) - grey) * 4


def build(step: Step, priors: Mapping[tuple[str, str], Prior]) -> nn.Module:
    """The network of a step."""
    from basicsr.archs import build_network

    if not step.share:
        return Bicubic(SCALE) if step.network == "bicubic" else Truth()
    if step.network.endswith(".yml"):
        return build_network(to_plain(read_options(step.network))["network_g"])
    options = to_plain(read_options(STAGE3))["network_g"]
    del options["type"]
    if step.prior:
        return GPEMSRWithPrior(copy.deepcopy(priors[step.prior]), **options)
    return (
        GPEMSRWithMemory(**options)
        if step.network == "memory"
        else build_network(options | {"type": "GPEMSRWithout", "without": "prior"})
    )


@dataclass
class Training:
    """One network in training.

    Attributes:
        rates: learning rates at first and at last; it falls along a cosine.
        warm_up: iterations.
    """

    step: Step
    net: nn.Module
    rates: tuple[float, float]
    warm_up: int
    total: int
    segmenter: str | None = None
    losses: dict[str, nn.Module] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from basicsr.losses import build_loss

        groups: dict[bool, list] = {False: [], True: []}
        for name, parameter in self.net.named_parameters():
            if parameter.requires_grad:
                groups["conv_offset" in name].append(parameter)
        rates = self.rates[0], self.rates[0] * self.step.offset_rate
        parameters = [{"params": group, "lr": rate} for group, rate in zip(groups.values(), rates, strict=True)]
        device = next(self.net.parameters()).device
        fused = device.type == "cuda"
        self.optimizer = torch.optim.Adam([g for g in parameters if g["params"]], betas=(0.9, 0.99), fused=fused)
        low = self.rates[1] / self.rates[0]
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer,
            lambda i: min(1, (i + 1) / self.warm_up) * (low + (1 - low) * (1 + math.cos(math.pi * i / self.total)) / 2),
        )
        self.averaged = AveragedModel(self.net, multi_avg_fn=get_ema_multi_avg_fn(DECAY))
        self.losses["pixel"] = build_loss(to_plain(read_options(STAGE3))["train"]["pixel_opt"])
        if self.step.loss == "affinity":
            loss = {"type": "AffinityFeatureLoss", "weights": self.segmenter, "loss_weight": 0.1}
            self.losses["affinity"] = build_loss(loss).to(device)
        elif self.step.loss == "contextual":
            self.losses["contextual"] = attach_features(ContextualLoss(features="vqgan"), self.net).to(device)

    def iterate(self, windows: Windows, rng: np.random.Generator) -> None:
        """One step."""
        has_memory = isinstance(self.net, GPEMSRWithMemory)
        hr, lr = windows.draw(rng, CLIP if has_memory else FRAMES)
        if self.step.prior:
            self.net.prior.hr = hr[0]
        half = FRAMES // 2
        gt = hr[:, half:-half] if has_memory else hr[:, half]
        self.optimizer.zero_grad()
        if "contextual" in self.losses:
            sr, reference = self.net(lr, return_reference=True)
            loss = self.losses["contextual"](sr, reference)
        else:
            sr, loss = self.net(lr), 0.0
        loss = loss + self.losses["pixel"](sr, gt)
        if "affinity" in self.losses:
            loss = loss + self.losses["affinity"](sr, gt)[0]
        loss.backward()
        self.optimizer.step()
        self.scheduler.step()
        self.averaged.update_parameters(self.net)


def training_of(
    name: str, total: int, arguments: argparse.Namespace, priors: Mapping, start: Mapping | None
) -> Training:
    """The training of a step, at its beginning; ``start`` is the state of the step that it goes on from."""
    step = STEPS[name]
    net = build(step, priors).to(arguments.device)
    if start is not None:
        missing, unexpected = net.load_state_dict(
            {k: v for k, v in start.items() if not k.startswith(("prior.", "perceptual."))}, strict=False
        )
        assert not unexpected, unexpected
        assert all(key.startswith(("mpf.", "prior.", "perceptual.", "memory.")) for key in missing), missing
    rates = (FIRST if step.after is None else MIDDLE, MIDDLE if step.share == 0.58 else LAST)
    segmenter = arguments.segmenter[0][2] if getattr(arguments, "segmenter", None) else None
    return Training(step, net, rates, WARM_UP if step.after is None else 1, total, segmenter)


def load_priors(arguments: argparse.Namespace, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], Prior]:
    """The priors, trained if they are not."""
    found = {}
    for kind, latents in sorted(wanted):
        options = to_plain(read_options("options/demo/stage3_x8.yml"))["network_g"]["prior"]
        stage = StageOne(KINDS[kind], options["vqgan"]).to(arguments.device)
        stage.enlarge = nn.Upsample(scale_factor=SCALE, mode="bicubic")
        indexer = Indexer(1, KINDS[kind], options["channels"], options["norm_groups"]).to(arguments.device)
        file = arguments.out / f"{arguments.name}_codebook_{list(KINDS).index(kind)}.pth"
        if file.exists():
            states = torch.load(file, map_location=arguments.device, weights_only=True)
            stage.load_state_dict(states["stage"])
            indexer.load_state_dict(states["indexer"])
        else:
            torch.manual_seed(0)
            data = Sections(arguments.train, arguments.device)
            train_stage_one(stage, data, arguments, np.random.default_rng(0))
            train_indexer(stage, indexer, False, data, arguments)
            with replaced(file) as temporary:
                torch.save({"stage": stage.state_dict(), "indexer": indexer.state_dict()}, temporary)
        found[kind, latents] = Prior(stage.eval(), indexer.eval(), latents)
    return found


def tuned(
    net: nn.Module, options: str, raws: list[np.ndarray], ids: list[np.ndarray], arguments: argparse.Namespace
) -> nn.Module:
    """A segmenter after more training on stacks (z, y, x) uint8 and their ids."""
    from basicsr.data import build_dataset
    from basicsr.losses import build_loss

    content = to_plain(read_options(options))
    with tempfile.TemporaryDirectory() as folder:
        files: dict[str, list[str]] = {"raw": [], "ids": []}
        for (kind, stacks_of_kind), number in itertools.product((("raw", raws), ("ids", ids)), range(len(raws))):
            files[kind].append(f"{folder}/{kind}_{number}.tif")
            tifffile.imwrite(files[kind][-1], stacks_of_kind[number], photometric="minisblack")
        roots = {"dataroot_raw": files["raw"], "dataroot_ids": files["ids"], "sections": None, "every": 1}
        data = build_dataset({**content["datasets"]["train"], **roots, "phase": "train", "scale": 1})
    net = net.train().requires_grad_(True)
    optimizer = torch.optim.Adam(net.parameters(), lr=TUNING_RATE)
    total, device = arguments.tuning, arguments.device
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total, 1e-6)
    loss = build_loss(content["train"]["affinity_opt"]).to(device)
    rng = np.random.default_rng(0)
    for _ in trange(total, desc="segmenter", disable=None):
        count = content["datasets"]["train"]["batch_size_per_gpu"]
        items = [data[int(rng.integers(len(data)))] for _ in range(count)]
        batch = default_collate([{key: item[key] for key in ("lq", "gt", "mask")} for item in items])
        lq, gt, mask = (batch[key].to(device) for key in ("lq", "gt", "mask"))
        optimizer.zero_grad()
        loss(net(lq), gt, mask).backward()
        optimizer.step()
        scheduler.step()
    return net.eval()


def score_segmenter(
    net: nn.Module, options: str, raw: np.ndarray, ids: np.ndarray, by_section: bool
) -> dict[str, float]:
    """VOI and adapted Rand error of a stack, at the threshold with the lowest VOI."""
    val = read_options(options)["val"]
    affinities = predict_affinities(net, torch.from_numpy(raw / np.float32(255)), val["block"], val["context"])
    how = Agglomeration(THRESHOLDS, val.get("fragments", "2d"), val.get("seed_distance", 10), by_section)
    scores, _ = how.best(affinities, section_regions(ids) if by_section else connected_ids(ids))
    return {key: scores[key] for key in SEGMENTED}


class Labelled:
    """The stacks of a labelled volume: those that segmenters learn from, and last the one that they are scored on."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.by_section = arguments.labels == "membranes"
        both = (arguments.raw, arguments.ids)
        if self.by_section:
            test = sum(len(info.sections) for info in open_section_store(arguments.test, "lmdb").volumes.values())
            self.raw, self.ids = ([v[:-test], v[-test:]] for v in map(tifffile.imread, both))
        else:
            self.raw, self.ids = map(halves, both)
            assert len(self.raw) == EVERY + 1


def made_by(net: nn.Module, hr: np.ndarray, device: str) -> tuple[np.ndarray, np.ndarray]:
    """A stack (z, y, x) uint8 super-resolved from LR made of it, and LR, both uint8."""
    lq = eight_bits(make_lr(hr / np.float32(255)))
    tensors = (torch.from_numpy(stack / np.float32(255))[:, None].to(device) for stack in (lq, hr))
    return eight_bits(super_resolve(net, *tensors)[:, 0].float().cpu().numpy()), lq


def score_images(net: nn.Module, arguments: argparse.Namespace) -> dict[str, float | None]:
    """Means over the sections of the test set; None for what is infinite."""
    pixel = pixel_size_of(open_section_store(arguments.test, "lmdb")) or 1.0
    hr = stack_of(open_section_store(arguments.test, "lmdb"))
    sr, lq = made_by(net, hr, arguments.device)
    rows = [measure_section(*three, SCALE, pixel) for three in zip(sr, hr, lq, strict=True)]
    columns = {key: [row[key] for row in rows] for key in MEASURED}
    return {key: None if None in values else float(np.mean(values)) for key, values in columns.items()}


def score_neurons(net: nn.Module, arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Of each segmenter, as it is and tuned on what the network makes of the stacks that segmenters learn from."""
    labelled = Labelled(arguments)
    made = [made_by(net, hr, arguments.device)[0] for hr in labelled.raw]
    found = {}
    for name, options, weights in arguments.segmenter:
        segmenter = load_network(options, weights, arguments.device)
        found[name] = score_segmenter(segmenter, options, made[-1], labelled.ids[-1], labelled.by_section)
        segmenter = tuned(segmenter, options, made[:-1], labelled.ids[:-1], arguments)
        found[f"{name}, tuned"] = score_segmenter(segmenter, options, made[-1], labelled.ids[-1], labelled.by_section)
    return found


def stem(name: str, seed: int, arguments: argparse.Namespace) -> str:
    """Files of a step without their suffixes."""
    return str(arguments.out / f"{arguments.name}_{slug(name)}_{seed}")


def run(name: str, seed: int, arguments: argparse.Namespace) -> None:
    """Train and score a step that is not finished; its first piece first."""
    if STEPS[name].after:
        run(STEPS[name].after, seed, arguments)
    files = [Path(f"{stem(name, seed, arguments)}.{suffix}") for suffix in ("pth", "images.json", "neurons.json")]
    if not files[0].exists():
        learn(name, seed, arguments, files[0])
    if not name.endswith("first piece"):
        for file, score in zip(files[1:], (score_images, score_neurons), strict=True):
            if not file.exists():
                with replaced(file) as temporary:
                    temporary.write_text(json.dumps(score(trained(name, seed, arguments), arguments)))


def priors_of(name: str, arguments: argparse.Namespace) -> dict[tuple[str, str], Prior]:
    """The prior of a step, if it has one."""
    prior = STEPS[name].prior
    return load_priors(arguments, {prior}) if prior else {}


def iterations(name: str, arguments: argparse.Namespace) -> int:
    """How many a step has for its share of the time."""
    if not STEPS[name].share:
        return 0
    costs = json.loads((arguments.out / "costs.json").read_text())
    cost = costs[name.removesuffix(", true codes")]  # making codes of HR is no part of a network
    return round(arguments.edvr_iterations * STEPS[name].share * costs["EDVR"] / cost)


def learn(name: str, seed: int, arguments: argparse.Namespace, file: Path) -> None:
    """Train a step; its averaged weights go to ``file``."""
    if not STEPS[name].share:
        torch.save(build(STEPS[name], {}).state_dict(), file)
        return
    after, total = STEPS[name].after, iterations(name, arguments)
    start = torch.load(f"{stem(after, seed, arguments)}.pth", weights_only=True) if after else None
    torch.manual_seed(seed)
    training = training_of(name, total, arguments, priors_of(name, arguments), start)
    windows, rng = (
        Windows(arguments.train, arguments.crop, arguments.device),
        np.random.default_rng([seed, *name.encode()]),
    )
    for _ in trange(total, desc=f"{name}, seed {seed}", disable=None):
        training.iterate(windows, rng)
    with replaced(file) as temporary:
        torch.save(training.averaged.module.state_dict(), temporary)


def trained(name: str, seed: int, arguments: argparse.Namespace) -> nn.Module:
    """The network of a finished step."""
    net = build(STEPS[name], priors_of(name, arguments)).to(arguments.device)
    net.load_state_dict(torch.load(f"{stem(name, seed, arguments)}.pth", weights_only=True))
    return net


def measure(arguments: argparse.Namespace) -> None:
    """CPU seconds of an iteration of each step: medians of rounds in which the steps take turns."""
    torch.set_num_threads(1)
    windows, rng = Windows(arguments.train, arguments.crop, "cpu"), np.random.default_rng(0)
    priors = load_priors(arguments, {step.prior for step in STEPS.values() if step.prior})
    trainings = {name: training_of(name, 1, arguments, priors, None) for name, step in STEPS.items() if step.share}
    seconds: dict[str, list[float]] = {name: [] for name in trainings}
    for _ in trange(arguments.rounds, desc="rounds", disable=None):
        for name, training in trainings.items():
            start = time.process_time()
            training.iterate(windows, rng)
            seconds[name].append(time.process_time() - start)
    costs = {name: float(np.median(values[1:])) for name, values in seconds.items()}
    with replaced(arguments.out / "costs.json") as file:
        file.write_text(json.dumps(costs, indent=1))
    for name, cost in costs.items():
        print(f"{name}: {cost:.3f} s, {cost / costs['EDVR']:.2f} of EDVR")


def table(arguments: argparse.Namespace) -> None:
    """Means and standard deviations over seeds."""
    rows: dict[str, list[dict]] = {}
    for name in STEPS:
        files = sorted(arguments.out.glob(f"{Path(stem(name, 0, arguments)).name[:-1]}[0-9]*.images.json"))
        rows[name] = [
            json.loads(file.read_text()) | (json.loads(neurons.read_text()) if neurons.exists() else {})
            for file in files
            for neurons in [Path(str(file).replace(".images.", ".neurons."))]
        ]
    segmenters = list(
        dict.fromkeys(key for found in rows.values() for row in found for key in row if key not in MEASURED)
    )
    print("| step | seeds | iterations | " + " | ".join([*MEASURED, *segmenters]) + " |")
    print("|" + (3 + len(MEASURED) + len(segmenters)) * "---|")
    for name, found in rows.items():
        if not found:
            continue
        cells = [name, str(len(found)), str(iterations(name, arguments))]
        cells += [spread([row[key] for row in found], digits) for key, digits in MEASURED.items()]
        for segmenter in segmenters:
            pairs, having = SEGMENTED.items(), [row[segmenter] for row in found if segmenter in row]
            cells.append(", ".join(spread([row[key] for row in having], digits) for key, digits in pairs if having))
        print("| " + " | ".join(cells) + " |")


def spread(values: list[float | None], digits: int) -> str:
    """Mean, and standard deviation of several; nothing for None."""
    if None in values:
        return ""
    deviation = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{deviation}"


def parser() -> argparse.ArgumentParser:
    """The script's options."""
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parse.add_subparsers(dest="command", required=True)
    parts = {name: commands.add_parser(name) for name in ("costs", "train", "table")}
    for part in parts.values():
        part.add_argument("--out", type=Path, required=True, help="folder of the results")
    for part in (parts["costs"], parts["train"]):
        part.add_argument("--train", required=True, help="LMDB of HR sections")
        part.add_argument(
            "--segmenter", nargs=3, action="append", required=True, metavar=("NAME", "OPTIONS", "WEIGHTS")
        )
        part.add_argument("--crop", type=int, default=192, help="side of the HR crops (default 192)")
        part.add_argument("--iterations", type=int, default=1500, help="of stage I (default 1500)")
        part.add_argument("--indexer-iterations", type=int, default=500, help="of stage II (default 500)")
    for part in (parts["train"], parts["table"]):
        part.add_argument("--name", required=True, help="of the test set; results are stored by it")
        part.add_argument("--edvr-iterations", type=int, default=2840, help="in the whole time (default 2840)")
    parts["costs"].add_argument("--rounds", type=int, default=6)
    train = parts["train"]
    train.add_argument("--test", required=True, help="LMDB of HR sections held back")
    train.add_argument("--raw", type=Path, required=True, help="volume with labels")
    train.add_argument("--ids", type=Path, required=True, help="its labels")
    train.add_argument("--labels", choices=("neurons", "membranes"), default="neurons")
    train.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    train.add_argument("--steps", nargs="+", choices=list(STEPS), default=list(STEPS))
    train.add_argument("--tuning", type=int, default=600, help="iterations of segmenters (default 600)")
    train.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parse.set_defaults(batch=8, codebook_weight=0.01, device="cpu", name="costs")
    return parse


def main() -> None:
    """Measure, train or print."""
    arguments = parser().parse_args()
    register()
    compat.apply()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.command == "train":
        for seed, name in itertools.product(arguments.seeds, arguments.steps):
            run(name, seed, arguments)
    else:
        (measure if arguments.command == "costs" else table)(arguments)


if __name__ == "__main__":
    main()
