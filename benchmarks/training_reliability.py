"""Are trainings exact whatever interrupts them? Tiny trainings of every kind are killed, damaged and given NaN.

    python benchmarks/training_reliability.py counts kills damage full nan processes mutations

Prints a line for each case and a summary; exits with 1 if anything is not as expected. ``mutations`` also takes
``--count``, ``kills`` also ``--kinds``. The trainings are those of tests/tiny_trainings.py.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import damaged_checkpoints
import torch
import yaml
from forked import Forked, run, start_processes
from mutated_options import mutated
from tiny_stages import write_sections
from tiny_trainings import KINDS, first_step, same_weights, write, write_training

from gpemsr.compat import importable_basicsr
from gpemsr.losses.affinity_loss import AffinityLoss
from gpemsr.losses.code_loss import CodeLoss

with importable_basicsr():
    from basicsr.losses.basic_loss import L1Loss

RESULTS: Counter[str] = Counter()
ROOT = Path(tempfile.mkdtemp(prefix="reliability-"))


def report(case: str, good: bool, text: str = "") -> None:
    """Count and print one case."""
    RESULTS[f"{case.split()[0]} {'as expected' if good else 'WRONG'}"] += 1
    if not good or not case.startswith("mutations"):
        print(f"{'ok   ' if good else 'WRONG'} {case} {text}", flush=True)


def models(folder: Path, kind: str) -> Path:
    """Folder of the networks of a training."""
    return folder / "experiments" / kind / "models"


def same(whole: Path, cut: Path, kind: str) -> bool:
    """Whether the final networks of two trainings hold the same bits."""
    files = list(models(whole, kind).glob("net_*_latest.pth"))
    return bool(files) and all(same_weights(path, models(cut, kind) / path.name) for path in files)


def kills(args: argparse.Namespace) -> None:
    """Five times SIGKILL, and five times SIGTERM, at random moments of 30 iterations."""
    rng = random.Random(0)
    for kind in args.kinds:
        for workers in (0, 2):
            whole = ROOT / f"whole_{kind}_{workers}"
            file = write_training(kind, whole, 30, 3, num_worker_per_gpu=workers).name
            code, text = run(whole, file)
            assert code == 0, text
            for number in (signal.SIGKILL, signal.SIGTERM):
                cut = ROOT / f"cut_{kind}_{workers}_{number}"
                write_training(kind, cut, 30, 3, num_worker_per_gpu=workers)
                output, codes = "", []
                for iteration in (rng.randrange(part, part + 3) for part in range(1, 30, 6)):
                    training = Forked(cut, file, *(["--auto_resume"] if codes else []))
                    training.wait_for(f"iter: {iteration:7d},")
                    time.sleep(rng.uniform(0, 0.1))
                    training.kill(number)
                    codes.append(training.wait())
                    output += training.output
                code, last = run(cut, file, "--auto_resume")
                good = code == 0 and same(whole, cut, kind) and "Traceback" not in output + last
                resumed = re.findall(r"Resuming training from epoch: \d+, iter: (\d+)", output + last)
                report(f"kills {kind}, {workers} workers, {number.name}", good, f"{codes}, resumed at {resumed}")


def counts(_: argparse.Namespace) -> None:
    """Steps that Adam has made in 40 trainings of random sections, ratio, batch, processes and workers."""
    rng = random.Random(0)
    for number in range(40):
        sections, ratio, processes, workers = (
            rng.randint(1, 9),
            rng.randint(1, 3),
            rng.randint(1, 2),
            rng.choice((0, 2)),
        )
        batch, total = rng.randint(1, 5), rng.randint(1, 12)
        folder = ROOT / f"counts_{number}"
        write_sections(folder, count=sections)
        options = {"batch_size_per_gpu": batch, "num_worker_per_gpu": workers, "dataset_enlarge_ratio": ratio}
        file = write_training("stage1", folder, total, total, **options).name
        together = start_processes(folder, processes, file) if processes > 1 else [Forked(folder, file)]
        codes = {process.wait() for process in together}
        if batch * processes > sections * ratio:
            good = codes == {2} and not (folder / "experiments").exists()
        else:
            state = torch.load(folder / f"experiments/stage1/training_states/{total}.state", weights_only=True)
            steps = {int(each["step"]) for each in state["optimizers"][0]["state"].values()}
            good = codes == {0} and steps == {total} and "Traceback" not in together[0].output
        case = f"{sections} sections x {ratio}, batch {batch} x {processes}, {workers} workers, {total} iterations"
        report(f"counts {case}", good, f"{codes}")


def damage(_: argparse.Namespace) -> None:
    """See :mod:`damaged_checkpoints`."""
    damaged_checkpoints.damage(ROOT / "damage", report)


def full(_: argparse.Namespace) -> None:
    """See :mod:`damaged_checkpoints`."""
    damaged_checkpoints.full_disk(ROOT / "full", report)


def broken(loss: type, iteration: int, last: float) -> Callable[[], None]:
    """Let a loss be NaN in some iterations of the process that calls this."""
    forward, calls = loss.forward, iter(range(1, 10**6))

    def with_nan(self: Any, *arguments: Any, **options: Any) -> torch.Tensor:
        value = forward(self, *arguments, **options)
        return value * float("nan") if iteration <= next(calls) <= last else value

    return lambda: setattr(loss, "forward", with_nan)


def nan(_: argparse.Namespace) -> None:
    """A loss, or the input, that is NaN at iteration 15 of 40, once and from then on."""
    losses = {"stage2": CodeLoss, "segmenter": AffinityLoss}
    for kind in KINDS:
        for last in (15, 10**6):
            for where in ("loss", "input"):
                folder = ROOT / f"nan_{kind}_{last}_{where}"
                file = write_training(kind, folder, 40, 10).name
                prepare = broken(losses.get(kind, L1Loss), 15, last) if where == "loss" else nan_input(15, last)
                code, output = run(folder, file, prepare=prepare)
                saved = [torch.load(path, weights_only=True) for path in models(folder, kind).glob("*.pth")]
                finite = all(
                    v.isfinite().all()
                    for file in saved
                    for key in file
                    if key != "metadata"
                    for v in file[key].values()
                )
                expected = 0 if last == 15 else 1
                good = code == expected and finite and "Traceback" not in output
                report(
                    f"nan {kind}, {where}, {'once' if last == 15 else 'for ever'}", good, output.splitlines()[-1][:150]
                )


def nan_input(iteration: int, last: float) -> Callable[[], None]:
    """Let batches be NaN in some iterations."""
    from gpemsr.models.portable import PortableModel

    feed, calls = PortableModel._feed_data, iter(range(1, 10**6))

    def with_nan(self: Any, inner: Callable, data: dict) -> None:
        if iteration <= next(calls) <= last:
            data = {k: v * float("nan") if torch.is_tensor(v) and v.is_floating_point() else v for k, v in data.items()}
        feed(self, inner, data)

    return lambda: setattr(PortableModel, "_feed_data", with_nan)


def processes(_: argparse.Namespace) -> None:
    """First losses of two processes with one section each, and of one process with two."""
    for kind in KINDS:
        one, two = (first_step(kind, ROOT / f"processes_{kind}_{count}", count)[0] for count in (1, 2))
        worst = max(abs(one[name] - two[name]) / max(abs(one[name]), 1e-12) for name in one)
        report(f"processes {kind}", worst <= 1e-6, f"{one} {two}: largest relative difference {worst:.1e}")


def mutations(args: argparse.Namespace) -> None:
    """Option files with random changes through ``--check``; those accepted are trained for 2 iterations."""
    rng = random.Random(args.seed)
    originals = {}
    for kind in KINDS:
        file = write_training(kind, ROOT / f"mutations_{kind}", 2, 1, val_freq=2)
        originals[kind] = yaml.safe_load(file.read_text())
    for number in range(args.count):
        kind = rng.choice(KINDS)
        options, changes = mutated(originals[kind], rng)
        folder = ROOT / f"mutations_{kind}"
        write(folder / "mutated.yml", options)
        shutil.rmtree(folder / "experiments", ignore_errors=True)
        code, output, took = timed(folder, "--check")
        good = code in (0, 2) and len(re.findall("^error: ", output, re.MULTILINE)) == (code == 2) and took < 5
        if code == 0:
            RESULTS["mutations accepted"] += 1
            code, output, took = timed(folder, "--force_yml", "train:total_iter=2")
            RESULTS[f"mutations trained, exit code {code}"] += 1
            good = good and code in (0, 1, 2)
        good = good and "Traceback" not in output and took < 20
        report(f"mutations {number} {kind}: {'; '.join(changes)}", good, f"{took:.1f} s, {code}, {output[-1500:]}")


def timed(folder: Path, *arguments: str) -> tuple[int | None, str, float]:
    """Exit code (None for one that hung), output and seconds of CPU time of a training."""
    before = os.times()
    training = Forked(folder, "mutated.yml", *arguments)
    try:
        code = training.wait(120)  # other work may slow this machine down
    except TimeoutError:
        return None, training.output, 120
    after = os.times()
    took = after.children_user + after.children_system - before.children_user - before.children_system
    return code, training.output, took


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {
        "kills": kills,
        "counts": counts,
        "damage": damage,
        "full": full,
        "nan": nan,
        "processes": processes,
        "mutations": mutations,
    }
    parser.add_argument("parts", nargs="+", choices=parts)
    parser.add_argument("--count", type=int, default=1000, help="mutations (default 1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the mutations (default 0)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="of trainings that are killed")
    arguments = parser.parse_args()
    for part in arguments.parts:
        parts[part](arguments)
    shutil.rmtree(ROOT)
    print(*(f"{count:5d} {what}" for what, count in sorted(RESULTS.items())), sep="\n")
    sys.exit(any("WRONG" in what for what in RESULTS))
