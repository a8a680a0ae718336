r"""What pays: GPEMSR with and without a prior, with better priors, other losses and memory along z, next to EDVR.

    python benchmarks/prior_steps.py costs ...
    python benchmarks/prior_steps.py train ...
    python benchmarks/prior_steps.py table --out runs/steps --name fib25

docs/prior.md has the commands whole, and what came of them.

All networks are trained on windows drawn alike (x8, bicubic LR made of shifted, flipped and transposed crops, one
window an iteration) for as many iterations as the same CPU time gives: ``costs`` measures an iteration of each step in
turn, on one thread. All but BasicVSR++ are trained in two pieces, for 58 and 42 % of the time, as in
``options/benchmark/train_fib25.yml``; the first piece is shared. Priors, which the second piece lets in, are trained
for longer than that and cost nothing, so that their gain is the most that can be hoped for; all seeds share them.
Sections are scored as 8-bit images; neurons (or, without neurons, membranes) by segmenters trained on HR sections, and
by the same after 600 more iterations on the network's own super-resolved sections, all on the part that segmenters do
not learn from.
``train`` goes on with what is not finished.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path

import numpy as np
import torch
from oracle_codes import SCALE
from prior_networks import Prior
from prior_scores import MEASURED, SEGMENTED, made_by, score_images, score_neurons
from prior_training import STEPS, Windows, build, load_priors, training_of
from torch import nn
from tqdm import trange

from gpemsr import compat, register
from gpemsr.benchmark.options import slug
from gpemsr.benchmark.row import stack_of
from gpemsr.data.section_store import open_section_store
from gpemsr.files import replaced


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
    windows = Windows(arguments.train, arguments.crop, arguments.device)
    rng = np.random.default_rng([seed, after is not None])
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
    arguments.iterations = arguments.indexer_iterations = 1  # a prior that is not trained takes as long
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
            scores = ", ".join(spread([row[key] for row in having], digits) for key, digits in pairs if having)
            cells.append(f"{scores} (of {len(having)})" if 0 < len(having) < len(found) else scores)
        print("| " + " | ".join(cells) + " |")


def picture(arguments: argparse.Namespace) -> None:
    """Draw the middle section of the test set, LR, HR and by the networks of the first seed."""
    from gpemsr.benchmark.panels import panel_grid

    hr = stack_of(open_section_store(arguments.test, "lmdb"))
    middle = len(hr) // 2
    images = {}
    for name in arguments.steps:
        made, lq = made_by(trained(name, arguments.seeds[0], arguments), hr, arguments.device)
        images["LR"] = lq[middle].repeat(SCALE, 0).repeat(SCALE, 1)
        images[name] = made[middle]
    figure, panels = panel_grid(len(images), 1, 4, 2.6, hr.shape[1] / hr.shape[2])
    for (name, image), (axis,) in zip(images.items(), panels, strict=True):
        axis.imshow(image, cmap="gray", vmin=0, vmax=255)
        axis.set_title(name, fontsize=9)
    figure.savefig(arguments.out / f"{arguments.name}.png")


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
    parts = {name: commands.add_parser(name) for name in ("costs", "train", "table", "picture")}
    for part in parts.values():
        part.add_argument("--out", type=Path, required=True, help="folder of the results")
        part.add_argument("--crop", type=int, default=192, help="side of the HR crops (default 192)")
    for part in (parts["costs"], parts["train"]):
        part.add_argument("--train", required=True, help="LMDB of HR sections")
        part.add_argument(
            "--segmenter", nargs=3, action="append", required=True, metavar=("NAME", "OPTIONS", "WEIGHTS")
        )
    for part in (parts["train"], parts["table"], parts["picture"]):
        part.add_argument("--name", required=True, help="of the test set; results are stored by it")
        text = "of EDVR in the whole time (default 2840)"
        part.add_argument("--edvr-iterations", type=int, default=2840, help=text)
    for part in (parts["train"], parts["picture"]):
        part.add_argument("--test", required=True, help="LMDB of HR sections held back")
        part.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
        part.add_argument("--steps", nargs="+", choices=list(STEPS), default=list(STEPS), metavar="STEP")
        part.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parts["costs"].add_argument("--rounds", type=int, default=6)
    train = parts["train"]
    train.add_argument("--raw", type=Path, required=True, help="volume with labels")
    train.add_argument("--ids", type=Path, required=True, help="its labels")
    train.add_argument("--labels", choices=("neurons", "membranes"), default="neurons")
    train.add_argument("--iterations", type=int, default=1500, help="of stage I (default 1500)")
    train.add_argument("--indexer-iterations", type=int, default=500, help="of stage II (default 500)")
    train.add_argument("--tuning", type=int, default=600, help="iterations of segmenters (default 600)")
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
        {"costs": measure, "table": table, "picture": picture}[arguments.command](arguments)


if __name__ == "__main__":
    main()
