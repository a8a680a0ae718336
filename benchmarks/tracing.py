r"""Can neurons be traced in super-resolved sections, by a segmenter that has seen such sections?

    python benchmarks/tracing.py --out runs/tracing \
        --raw fib25_sample2_half/raw.tif --ids fib25_sample2_half/neuron_ids.tif \
        --segmenter Superhuman options/benchmark/segmentation/superhuman_fib25.yml superhuman.pth \
        --method GPEMSR gpemsr_x8.yml gpemsr_x8.pth --method bicubic options/demo/baselines/test_bicubic_x8.yml -

Every 4th section is taken, LR is made by MATLAB's bicubic, and each method super-resolves the first half of the
volume (four stacks, which begin at sections 0 to 3) and the second half (one stack). Each segmenter, trained on HR
sections, goes on with the super-resolved sections of the first half, for each method by itself; the HR sections
take part as one more method, for the same iterations. Scores are those of the second half, at the threshold with
the lowest variation of information (VOI), before and after. Prints a table and draws one section, ``tracing.png``;
finished trainings are not repeated.
"""

from __future__ import annotations

import argparse
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
import yaml

from gpemsr import compat, register
from gpemsr.benchmark.training_run import train
from gpemsr.data.degradations import degrade
from gpemsr.data.grey_values import eight_bits
from gpemsr.files import replaced
from gpemsr.metrics.psnr_ssim import psnr_ssim
from gpemsr.options.read import read_options, to_plain
from gpemsr.segmentation.agglomeration import Agglomeration
from gpemsr.segmentation.fragments import connected_ids
from gpemsr.segmentation.prediction import predict_affinities
from gpemsr.volume.network import load_network, window_length
from gpemsr.volume.section_loop import section_network, super_resolve_sections

SCALE, EVERY, ALIGNED = 8, 4, 8
HR = "HR"
THRESHOLDS = [0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]


def parser() -> argparse.ArgumentParser:
    """The script's options."""
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--raw", type=Path, required=True, help="isotropic volume, 8 bit")
    parse.add_argument("--ids", type=Path, required=True, help="ids of its neurons")
    parse.add_argument("--out", type=Path, required=True)
    three = {"nargs": 3, "action": "append", "required": True, "metavar": ("NAME", "OPTIONS", "WEIGHTS")}
    parse.add_argument("--method", **three, help="weights are - for bicubic")
    parse.add_argument("--segmenter", **three)
    parse.add_argument("--iterations", type=int, default=600)
    parse.add_argument("--rate", type=float, default=5e-4, help="learning rate at first; it falls along a cosine")
    parse.add_argument("--seeds", type=int, default=3)
    parse.add_argument("--workers", type=int, default=1, help="trainings at a time")
    parse.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parse


def halves(path: Path) -> list[np.ndarray]:
    """Four stacks of the first half and one of the second, of every 4th section; y, x cut to whole LR pixels."""
    volume = tifffile.imread(path)
    middle = len(volume) // 2
    middle += -middle % EVERY  # the second half begins with a section of the first stack
    y, x = (size // ALIGNED * ALIGNED for size in volume.shape[1:])
    return [volume[start:middle:EVERY, :y, :x] for start in range(EVERY)] + [volume[middle::EVERY, :y, :x]]


def super_resolve(hr: np.ndarray, options: str, weights: str, device: str) -> np.ndarray:
    """A stack (z, y, x) uint8 made coarser and super-resolved again."""
    net = load_network(options, None if weights == "-" else weights, device)
    lq = np.stack([degrade(section.astype(np.float32) / 255, SCALE, "bicubic") for section in hr])
    network = section_network(net, window_length(options))
    results = super_resolve_sections(network, torch.from_numpy(lq)[:, None].to(device))
    return np.stack([eight_bits(image[0, 0].float().cpu().numpy()) for image in results])


def score(
    options: str, weights: str, raw: np.ndarray, ids: np.ndarray, device: str
) -> tuple[dict[str, float], np.ndarray]:
    """VOI, adapted Rand error and the threshold that they are of; the segmentation."""
    val = read_options(options)["val"]
    net = load_network(options, weights, device)
    volume = torch.from_numpy(raw.astype(np.float32) / 255)
    affinities = predict_affinities(net, volume, val["block"], val["context"])
    how = Agglomeration(THRESHOLDS, val.get("fragments", "2d"), val.get("seed_distance", 10))
    return how.best(affinities, connected_ids(ids))


def fine_tune(arguments: argparse.Namespace, name: str, options: str, weights: str, sr: list[str], seed: int) -> Path:
    """Train a segmenter on; returns its checkpoint."""
    out: Path = arguments.out.absolute()
    checkpoint = out / f"experiments/{name}/models/net_g_latest.pth"
    if not checkpoint.exists():
        content = to_plain(read_options(options))
        content["datasets"] = {"train": content["datasets"]["train"]}
        content["datasets"]["train"] |= {
            "dataroot_raw": sr,
            "dataroot_ids": [f"ids_{number}.tif" for number in range(EVERY)],
            "sections": None,
            "every": 1,
        }
        content["train"] |= {
            "total_iter": arguments.iterations,
            "optim_g": {**content["train"]["optim_g"], "lr": arguments.rate},
            "scheduler": {
                "type": "CosineAnnealingRestartLR",
                "periods": [arguments.iterations],
                "restart_weights": [1],
                "eta_min": 1e-6,
            },
        }
        content["logger"] |= {"save_checkpoint_freq": arguments.iterations + 1, "use_tb_logger": False}
        content |= {"name": name, "manual_seed": seed, "val": None}
        content["path"]["pretrain_network_g"] = str(Path(weights).absolute())
        (out / "options").mkdir(exist_ok=True)
        (out / "options" / f"{name}.yml").write_text(yaml.safe_dump(content))
        train(name, out, {"OMP_NUM_THREADS": "1"})
    return checkpoint


def main() -> None:
    """Super-resolve, train, score; print the table."""
    arguments = parser().parse_args()
    register()
    compat.apply()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    hr, ids = halves(arguments.raw), halves(arguments.ids)
    for number, labels in enumerate(ids):
        tifffile.imwrite(out / f"ids_{number}.tif", labels, compression="zlib", photometric="minisblack")
    stacks: dict[str, list[np.ndarray]] = {HR: hr}
    for name, options, weights in arguments.method:
        stacks[name] = [super_resolve(stack, options, weights, arguments.device) for stack in hr]
    files: dict[str, list[str]] = {}
    for name, parts in stacks.items():
        files[name] = [f"{name}_{number}.tif" for number in range(len(parts))]
        for file, part in zip(files[name], parts, strict=True):
            tifffile.imwrite(out / file, part, compression="zlib", photometric="minisblack")

    def run(task: tuple[str, list[str], int]) -> dict[str, Any]:
        method, (segmenter, options, weights), seed = task
        found: dict[str, Any] = {"method": method, "segmenter": segmenter, "seed": seed}
        if seed >= 0:
            name = f"{segmenter}_{method}_{seed}".replace(" ", "_")
            weights = str(fine_tune(arguments, name, options, weights, files[method][:EVERY], seed))
        with scoring:
            scores, labels = score(options, weights, stacks[method][-1], ids[-1], arguments.device)
        if segmenter == arguments.segmenter[0][0] and seed <= 0:
            drawn[method, seed == 0] = labels[len(labels) // 2]
        return found | scores

    drawn: dict[tuple[str, bool], np.ndarray] = {}
    scoring = threading.Lock()  # what waterz prints is dropped for the whole process
    tasks = [(m, s, seed) for seed in range(-1, arguments.seeds) for s in arguments.segmenter for m in stacks]
    with ThreadPoolExecutor(arguments.workers) as pool:
        rows = list(pool.map(run, tasks))
    with replaced(out / "scores.json") as file:
        file.write_text(json.dumps(rows, indent=1))
    middle = len(hr[-1]) // 2
    draw(out / "tracing.png", {name: parts[-1][middle] for name, parts in stacks.items()}, drawn, ids[-1][middle])
    print("| method | PSNR | segmenter | VOI, adapted Rand: trained on HR | trained on with its own sections |")
    print("|---|---|---|---|---|")
    for name, _, _ in arguments.segmenter:
        for method, parts in stacks.items():
            pairs = zip(parts[-1], hr[-1], strict=True)
            psnr = "" if method == HR else f"{np.mean([psnr_ssim(*pair)['psnr'] for pair in pairs]):.2f} dB"
            of_both = [row for row in rows if (row["method"], row["segmenter"]) == (method, name)]
            before, after = ([row for row in of_both if (row["seed"] >= 0) == tuned] for tuned in (False, True))
            print(f"| {method} | {psnr} | {name} | {text(before)} | {text(after)} |")


def draw(
    path: Path, images: dict[str, np.ndarray], labels: dict[tuple[str, bool], np.ndarray], ids: np.ndarray
) -> None:
    """A section of each method (y, x), and how it is segmented before and after the segmenter was trained further."""
    from gpemsr.benchmark.panels import panel_grid

    figure, panels = panel_grid(len(images) + 1, 3, len(images) + 1, 2.6, ids.shape[0] / ids.shape[1])
    rows = ("", "segmenter trained on HR", "trained further")
    for (name, image), axes in zip({"neurons": images[HR], **images}.items(), panels, strict=True):
        shown = [ids, None] if name == "neurons" else [labels.get((name, tuned)) for tuned in (False, True)]
        axes[0].set_title(name, fontsize=9)
        for axis, segmented, row in zip(axes, [None, *shown], rows, strict=True):
            if axis is axes[0] or segmented is not None:
                axis.imshow(image if segmented is None else colored(segmented, image), cmap="gray", vmin=0, vmax=255)
            if segmented is not None and name != "neurons":
                axis.set_title(row, fontsize=7)
    figure.savefig(path)


def colored(labels: np.ndarray, image: np.ndarray) -> np.ndarray:
    """A segmentation (y, x) in colours over its section."""
    from skimage.color import label2rgb

    return label2rgb(labels, image, alpha=0.45, bg_label=0)


def text(rows: list[dict[str, Any]]) -> str:
    """Mean VOI and adapted Rand error, and the standard deviation where there are several."""
    parts = []
    for key in ("voi", "adapted_rand"):
        values = [row[key] for row in rows]
        spread = f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
        parts.append(f"{np.mean(values):.2f}{spread}" if values else "")
    return ", ".join(parts)


if __name__ == "__main__":
    main()
