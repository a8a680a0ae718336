"""Scores of networks on held-back sections, for each way of making LR, and pictures of the worst sections.

    python benchmarks/model_card.py shipped/data/fib25_test_hr.lmdb --networks fib25-x8 edvr.pth --out runs/card

Every network is a checkpoint that says what it is, or the name of a shipped one. LR is made from the HR sections in
the ways that ``options/shipped/stage3_x8.yml`` is trained with. Prints a table of mean PSNR and SSIM; ``worst.png``
has the sections on which the first network gains least over bicubic interpolation.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from gpemsr import compat, register
from gpemsr.archs.baselines_arch import Bicubic
from gpemsr.benchmark.panels import most_detailed, panel_grid, scale_bar, show_with_zoom
from gpemsr.checkpoints.shipped import weights_file
from gpemsr.data.grey_values import eight_bits
from gpemsr.data.section_window_test_dataset import SectionStack
from gpemsr.files import replaced
from gpemsr.metrics.psnr_ssim import psnr_ssim
from gpemsr.options.read import read_options, to_plain
from gpemsr.volume.network import VolumeNetwork
from gpemsr.volume.section_loop import super_resolve_sections

TRAINING = "options/shipped/stage3_x8.yml"


def stacks(root: str, degradation: dict[str, Any], scale: int) -> list[SectionStack]:
    """The HR sections below ``root`` with LR made in one way."""
    from basicsr.data import build_dataset

    section = {"name": "test", "type": "SectionWindowTestDataset", "phase": "val", "io_backend": {"type": "lmdb"}}
    dataset = build_dataset({**section, "dataroot_gt": root, "degradation": degradation, "scale": scale})
    return list(dataset.stacks.values())


def images(network: Any, stack: SectionStack, name: str) -> list[np.ndarray]:
    """8-bit images of all sections, super-resolved."""
    results = tqdm(super_resolve_sections(network, stack), name, len(stack), leave=False, disable=None)
    return [eight_bits(result[0, 0].clamp(0, 1).cpu().numpy()) for result in results]


def pictures(rows: list[tuple[str, dict[str, np.ndarray]]], pixel_size: float | None, note: str | None) -> Any:
    """A figure with one row a section: its images, and the most detailed part of each below."""
    titles = [title for name, row in rows for title in (f"{name}, {kind}" for kind in row)]
    panels = [(row["HR"], image) for _, row in rows for image in row.values()]
    height, width = panels[0][0].shape
    figure, cells = panel_grid(len(panels), 2, len(panels) // len(rows), 3.6, height / width)
    for title, (hr, image), (whole, zoom) in zip(titles, panels, cells, strict=True):
        side = min(hr.shape) // 3
        y, x = most_detailed(hr, side)
        look = {"cmap": "gray", "vmin": hr.min(), "vmax": hr.max(), "interpolation": "none"}
        whole.set_title(title, fontsize=11)
        box = slice(y, y + side), slice(x, x + side)
        show_with_zoom(whole, zoom, image, (slice(0, height), slice(0, width)), box, look)
        if pixel_size:
            whole.add_artist(scale_bar(pixel_size))
    figure.supxlabel(note or "", fontsize=10)
    return figure


def main() -> int:
    """Score all networks and draw the worst sections of the first."""
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("test", help="LMDB of HR sections")
    parse.add_argument("--networks", nargs="+", required=True, metavar="FILE", help="checkpoints, or shipped names")
    parse.add_argument("--out", type=Path, required=True, help="folder of worst.png")
    parse.add_argument("--worst", type=int, default=2, metavar="N", help="sections to draw (default 2)")
    parse.add_argument("--note", help="a line for the picture, such as the data's origin")
    arguments = parse.parse_args()
    register()
    compat.apply()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    networks = {name: VolumeNetwork(None, str(weights_file(name)), device) for name in arguments.networks}
    scale = networks[arguments.networks[0]].scale
    training = to_plain(read_options(TRAINING))["datasets"]["train"]["degradation"]
    arguments.out.mkdir(parents=True, exist_ok=True)
    names = ["bicubic", *networks]
    print(f"| LR | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for number, degradation in enumerate(training):
        found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
        drawn: list[tuple[float, str, dict[str, np.ndarray]]] = []
        for stack in stacks(arguments.test, degradation, scale):
            hr = [eight_bits(stack.gt(i)[0].numpy()) for i in range(len(stack))]
            results = {"bicubic": [eight_bits(Bicubic(scale)(stack[i][None])[0, 0].numpy()) for i in range(len(stack))]}
            results |= {name: images(network, stack, name) for name, network in networks.items()}
            for name in names:
                found[name] += [psnr_ssim(*pair) for pair in zip(results[name], hr, strict=True)]
            for i in range(len(stack)):
                shown = {name: results[name][i] for name in names[:2]} | {"HR": hr[i]}
                gain = found[names[1]][i - len(stack)]["psnr"] - found["bicubic"][i - len(stack)]["psnr"]
                drawn.append((gain, f"{stack.numbers[i]} ({gain:+.2f} dB)", shown))
        means = [{key: float(np.mean([f[key] for f in found[name]])) for key in ("psnr", "ssim")} for name in names]
        cells = " | ".join(f"{mean['psnr']:.2f} dB / {mean['ssim']:.3f}" for mean in means)
        print(f"| {degradation['kind']} | {cells} |", flush=True)
        if number == 0:
            worst = [(name, row) for _, name, row in sorted(drawn, key=lambda d: d[0])[: arguments.worst]]
            size = stack.info.voxel_size
            with replaced(arguments.out / "worst.png") as file:
                pictures(worst, size and size[2] / scale, arguments.note).savefig(file)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
