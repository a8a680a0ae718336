"""What a training does with a checkpoint that is damaged or deleted, and on a disk that fills up while it saves."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from forked import run
from tiny_trainings import same_weights, write_training

from gpemsr.checkpoints.training_states import newest_whole

FILES = ("models/net_g_6.pth", "training_states/6.state")
FILE = "segmenter.yml"


def damaged(content: bytes, kind: str, count: int, rng: random.Random) -> Iterator[bytes | None]:
    """A file's content, damaged in different ways of one kind; None: deleted."""
    for _case in range(count):
        if kind == "bit flipped":
            flipped = bytearray(content)
            flipped[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
            yield bytes(flipped)
        elif kind == "truncated":
            yield content[: rng.randrange(len(content))]
        else:
            yield rng.randbytes(len(content)) if kind == "noise" else None


def damage(folder: Path, report: Callable[[str, bool, str], None]) -> None:
    """The newest checkpoint damaged in each way; all through the command, and 200 flips through what it resumes by."""
    rng = random.Random(0)
    write_training("segmenter", folder, 8, 3)
    code, output = run(folder, FILE)
    assert code == 0, output
    experiment, kept = folder / "experiments" / "segmenter", folder / "kept"
    shutil.copytree(experiment, kept)
    for name in FILES:
        content = (kept / name).read_bytes()
        for kind, count in (("truncated", 20), ("noise", 20), ("deleted", 20), ("bit flipped", 20)):
            seen: Counter[str] = Counter()
            for case in damaged(content, kind, count, rng):
                shutil.rmtree(experiment)
                shutil.copytree(kept, experiment)
                put(experiment / name, case)
                (experiment / "models" / "net_g_latest.pth").unlink()
                code, output = run(folder, FILE, "--auto_resume")
                same = same_weights(*(at / "models" / "net_g_latest.pth" for at in (experiment, kept)))
                found = outcome("iter: 3." in output, f"skipped: {experiment}/" in output, same, kind)
                seen[found if code == 0 and "Traceback" not in output else "WRONG"] += 1
            report(f"damage {Path(name).suffix}, {kind}, command", "WRONG" not in seen, str(dict(seen)))
        shutil.rmtree(experiment)
        shutil.copytree(kept, experiment)
        seen = Counter()
        for case in damaged(content, "bit flipped", 200, rng):
            put(experiment / name, case)
            state, wrong = newest_whole(experiment / "training_states", experiment / "models", ["net_g"])
            assert state is not None
            network = f"models/net_g_{state['iter']}.pth"
            same = same_weights(experiment / network, kept / network)
            seen[outcome(state["iter"] == 3, bool(wrong), same, "bit flipped")] += 1
        report(f"damage {Path(name).suffix}, bit flipped, in process", "WRONG" not in seen, str(dict(seen)))


def put(path: Path, content: bytes | None) -> None:
    """Give a file this content; None deletes it."""
    path.unlink() if content is None else path.write_bytes(content)


def outcome(went_back: bool, said_so: bool, same: bool, kind: str) -> str:
    """Went on from the checkpoint before and said so; or the bit does not matter; else wrong."""
    if same and went_back and said_so:
        return "from the one before, told"
    return "harmless" if same and kind == "bit flipped" and not went_back and not said_so else "WRONG"


def full_disk(folder: Path, report: Callable[[str, bool, str], None]) -> None:
    """A tmpfs that fills up in the middle of different checkpoints; needs root."""
    whole = folder / "whole"
    write_training("segmenter", whole, 12, 1)
    code, output = run(whole, FILE)
    assert code == 0, output
    files = list((whole / "experiments" / "segmenter").rglob("*.*"))
    most = sum(file.stat().st_size for file in files) // 1024
    for size in range(most // 12, most, most // 12):
        cut = folder / f"full_{size}"
        write_training("segmenter", cut, 12, 1)
        disk = cut / "experiments"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "none", disk], check=True)
        try:
            code, output = run(cut, FILE)
            states, models = (disk / "segmenter" / name for name in ("training_states", "models"))
            state, wrong = newest_whole(states, models, ["net_g"]) if states.exists() else (None, [])
            told = [line for line in output.splitlines() if line.startswith("error: ")]
            good = code == 1 and len(told) == 1 and "No space left" in told[0] and "Traceback" not in output
            good = good and all("no such file" in text for text in wrong) and not list(disk.rglob(".*.tmp-*"))
            subprocess.run(["mount", "-o", f"remount,size={4 * most}k", disk], check=True)
            code, output = run(cut, FILE, "--auto_resume")
            name = "segmenter/models/net_g_latest.pth"
            good = good and code == 0 and same_weights(disk / name, whole / "experiments" / name)
            saved = state["iter"] if state else 0
            report(f"full disk of {size} KiB", good, f"{saved} saved, then {(told or [output[-500:]])[-1][-150:]}")
        finally:
            subprocess.run(["umount", disk], check=True)
