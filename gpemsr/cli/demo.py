"""``gpemsr-demo``: data -> LMDBs -> three stages -> the held-back sections super-resolved, scored and pictured."""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml
from tqdm import tqdm

from gpemsr.benchmark.training_run import train
from gpemsr.errors import InputError, command
from gpemsr.files import replaced
from gpemsr.options.read import read_options, to_plain

PHANTOM_SHAPE = (40, 384, 384)
MAX_SECTIONS = 64
MAX_SIDE = 1024
HELD_BACK = 0.2
MIN_SECTIONS = 10
MIN_SIDE = 64  # HR pixels, where the training crops are smaller


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    parse = argparse.ArgumentParser(
        prog="gpemsr-demo",
        description="Train the three stages of GPEMSR on most of a stack (without DATA: on a synthetic one), "
        "super-resolve the last fifth of its sections, and compare with bicubic interpolation.",
    )
    parse.add_argument("--data", type=Path, help="EM stack: TIFF, folder of images, HDF5, Zarr (default: a phantom)")
    parse.add_argument("--dataset", help="data set in an HDF5 or Zarr file")
    parse.add_argument("--voxel-size", nargs=3, type=float, metavar=("Z", "Y", "X"), help="nm, if the file lacks it")
    parse.add_argument("--every", type=int, default=1, metavar="K", help="take every K-th section (default 1)")
    parse.add_argument("--scale", type=int, choices=(8, 16), default=8, help="HR over LR size (default 8)")
    parse.add_argument("--out", type=Path, default=Path("demo"), help="folder for all results (default demo)")
    parse.add_argument(
        "--options", type=Path, default=Path("options/demo"), help="folder of stage1.yml, stage2_x8.yml, ..."
    )
    parse.add_argument("--note", help="a line for the picture, such as the data's origin")
    return parse


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit code."""
    arguments = parser().parse_args(argv)
    names = ["stage1", f"stage2_x{arguments.scale}", f"stage3_x{arguments.scale}"]
    crop = largest_crop(arguments.options, names)
    out = arguments.out
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {out}: no folder can be made there ({error.strerror})") from None
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

    make_data(arguments, crop)
    seconds = {}
    for name in names:
        write_options(arguments.options / f"{name}.yml", out)
        seconds[name] = train(name, out).seconds
    gain = evaluate(arguments, names[-1], seconds)
    if gain <= 0:
        print(
            f"error: GPEMSR is {-gain:.2f} dB below bicubic interpolation on the held-back sections: train for longer, "
            f"on more sections or with another manual_seed (change a copy of {arguments.options}, see --options)",
            file=sys.stderr,
        )
        return 1
    return 0


def largest_crop(folder: Path, names: Sequence[str]) -> int:
    """The largest training crop, in HR pixels, of the stages' option files in ``folder``.

    Raises:
        InputError: an option file is absent, or one that this command cannot work with.
    """
    crops = []
    for name in names:
        file = folder / f"{name}.yml"
        if not file.is_file():
            raise InputError(f"--options {folder}: has no {name}.yml; a folder like options/demo fits")
        options = read_options(file)
        try:
            crops.append(options["datasets"]["train"]["gt_size"] or 0)
            options["datasets"]["val"]["dataroot_gt"]
            perceptual = options["network_g"].get("perceptual", "vgg19")
        except (KeyError, TypeError):
            raise InputError(f"{file}: needs datasets.train.gt_size, datasets.val.dataroot_gt and network_g") from None
    if perceptual != "vqgan":
        raise InputError(f"{file}: network_g.perceptual={perceptual}: vqgan fits the demo, which scores the codes")
    return max(crops)


def make_data(arguments: argparse.Namespace, crop: int) -> None:
    """Write LMDBs of the training and of the held-back sections below ``<out>/data``.

    Raises:
        InputError: the stack has too few sections, or sections smaller than ``crop`` HR pixels.
    """
    from gpemsr.cli import lmdb, phantom
    from gpemsr.data.volumes.reader import open_volume

    data = arguments.data
    if data is None:
        data = arguments.out / "data" / "phantom.tif"
        data.parent.mkdir(parents=True, exist_ok=True)
        shape = [str(n) for n in PHANTOM_SHAPE]
        run(phantom.main, [str(data), "--shape", *shape, "--overwrite"])
    size = None if arguments.voxel_size is None else tuple(arguments.voxel_size)
    with open_volume(data, arguments.dataset, size) as volume:
        numbers = [volume.numbers[i] for i in range(0, volume.shape[0], arguments.every)][:MAX_SECTIONS]
        height, width = volume.shape[1:]
    side = max(crop, MIN_SIDE)
    if len(numbers) < MIN_SECTIONS or min(height, width) < side:
        raise InputError(
            f"{data}: {len(numbers)} sections of {height} x {width} pixels; "
            f"at least {MIN_SECTIONS} of {side} x {side} fit"
        )
    held_back = max(2, round(HELD_BACK * len(numbers)))
    train_part, test_part = numbers[:-held_back], numbers[-held_back:]
    rectangle = [middle(side) for side in (height, width)]
    print(
        f"{data}: training on sections {train_part[0]}-{train_part[-1]}, held back {test_part[0]}-{test_part[-1]}, "
        f"y {rectangle[0]}, x {rectangle[1]}",
        flush=True,
    )
    command_line = [str(data), "--out", str(arguments.out / "data"), "--name", "demo", "--scales", str(arguments.scale)]
    command_line += ["--split", f"train={train_part[0]}-{train_part[-1]}", f"test={test_part[0]}-{test_part[-1]}"]
    command_line += ["--crop", f":,{rectangle[0]},{rectangle[1]}", "--every", str(arguments.every), "--overwrite"]
    if arguments.dataset:
        command_line += ["--dataset", arguments.dataset]
    if arguments.voxel_size:
        command_line += ["--voxel-size", *map(str, arguments.voxel_size)]
    run(lmdb.main, command_line)


def run(main_function, command_line: list[str]) -> None:
    """Run another command in this process; stop with its exit code if it fails."""
    code = main_function(command_line)
    if code:
        raise SystemExit(code)


def middle(side: int) -> str:
    """The middle of an axis, a multiple of 16 and at most ``MAX_SIDE`` long, as ``start:stop``."""
    length = min(MAX_SIDE, side // 16 * 16)
    start = (side - length) // 2
    return f"{start}:{start + length}"


def write_options(source: Path, out: Path) -> None:
    """Copy an option file to ``<out>/options`` with the data paths of this run, for use in ``out``."""
    options = to_plain(read_options(source))
    for section in options["datasets"].values():
        for key in ("dataroot_gt", "dataroot_lq"):
            if key in section:
                section[key] = f"data/{Path(section[key]).name}"
    folder = out / "options"
    folder.mkdir(exist_ok=True)
    (folder / source.name).write_text(yaml.safe_dump(options, sort_keys=False))


def evaluate(arguments: argparse.Namespace, name: str, seconds: dict[str, float]) -> float:
    """Super-resolve the held-back sections; write ``sr.tif``, ``scores.csv``, ``results.md``, ``comparison.png``.

    Returns:
        Mean PSNR minus that of bicubic interpolation, dB.
    """
    from gpemsr import register

    register()
    import numpy as np
    import torch
    from basicsr.archs import build_network
    from basicsr.data import build_dataset

    from gpemsr.benchmark.comparison import plot_comparison
    from gpemsr.checkpoints.loading import load_network_state
    from gpemsr.data.section_store import open_section_store
    from gpemsr.data.volumes.writer import TiffStackWriter
    from gpemsr.volume.held_back import HeldBackSections

    out = arguments.out
    options = yaml.safe_load((out / "options" / f"{name}.yml").read_text())
    net = build_network(options["network_g"])
    net.load_state_dict(load_network_state(str(out / f"experiments/{name}/models/net_g_latest.pth"), "params_ema"))
    roots = {key: str(out / options["datasets"]["val"][key]) for key in ("dataroot_gt", "dataroot_lq")}
    dataset = build_dataset({**options["datasets"]["val"], **roots, "scale": arguments.scale, "phase": "val"})
    info = next(iter(open_section_store(roots["dataroot_gt"], "lmdb").volumes.values()))

    device = "cuda" if torch.cuda.is_available() else "cpu"
    sections = HeldBackSections(net, dataset, device)
    results = []
    top = np.iinfo(info.dtype).max
    shape = (len(sections), info.height, info.width)
    with TiffStackWriter(out / "sr.tif", shape, info.dtype, info.voxel_size) as stack:
        for result in tqdm(sections, desc="super-resolve", unit="section", disable=None):
            results.append(result)
            stack.write(np.round(result.sr * top).astype(info.dtype))

    columns = ["psnr_bicubic", "psnr", "ssim_bicubic", "ssim", "index_accuracy"]
    rows = [[r.key.split("/")[-1], *(r.scores[c] for c in columns)] for r in results]
    rows.append(["mean", *(float(np.mean([r.scores[c] for r in results])) for c in columns)])
    with replaced(out / "scores.csv") as file, file.open("w", newline="") as sink:
        csv.writer(sink).writerows([["section", *columns], *rows])
    used = int((sections.usage.counts > 0).sum())
    perplexity = sections.usage.perplexity().item()
    text = report(rows, used, len(sections.usage.counts), perplexity, seconds)
    with replaced(out / "results.md") as file:
        file.write_text(text)
    gains = sorted(results, key=lambda r: r.scores["psnr"] - r.scores["psnr_bicubic"])
    pixel_size = info.voxel_size[2] if info.voxel_size else None
    with replaced(out / "comparison.png") as file:
        plot_comparison(gains[len(gains) // 2], file, pixel_size, arguments.note)
    print(text)
    print(f"Written: {out / 'sr.tif'}, {out / 'comparison.png'}, {out / 'results.md'}, {out / 'scores.csv'}")
    return float(np.mean([r.scores["psnr"] - r.scores["psnr_bicubic"] for r in results]))


def report(rows: list[list], used: int, num_codes: int, perplexity: float, seconds: dict[str, float]) -> str:
    """The results as Markdown."""
    lines = ["| section | PSNR bicubic | PSNR GPEMSR | SSIM bicubic | SSIM GPEMSR | index accuracy |"]
    lines.append("|---|---|---|---|---|---|")
    for section, psnr_b, psnr, ssim_b, ssim, accuracy in rows:
        lines.append(f"| {section} | {psnr_b:.2f} | {psnr:.2f} | {ssim_b:.4f} | {ssim:.4f} | {100 * accuracy:.1f} % |")
    lines += [
        "",
        f"Codebook: {used} of {num_codes} codes used on the held-back sections, perplexity {perplexity:.1f}.",
        "",
    ]
    lines += ["| stage | time |", "|---|---|"]
    lines += [f"| {name} | {value / 60:.1f} min |" for name, value in seconds.items()]
    lines.append(f"| together | {sum(seconds.values()) / 60:.1f} min |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
