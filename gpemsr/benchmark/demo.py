"""The demo: a stack -> LMDBs -> three stages -> its held-back sections super-resolved, scored and pictured.

With a trained network there is no training.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from tqdm import tqdm

from gpemsr import register
from gpemsr.archs.gpemsr_arch import GPEMSR
from gpemsr.archs.precision import Precision
from gpemsr.benchmark.held_back import SectionResult, held_back_sections
from gpemsr.benchmark.panels import most_detailed, panel_grid, scale_bar, show_with_zoom
from gpemsr.benchmark.training_run import train
from gpemsr.data.lmdb_job import LmdbJob, make_lmdbs
from gpemsr.data.section_store import VolumeInfo, open_section_store
from gpemsr.data.section_window_test_dataset import SectionWindowTestDataset
from gpemsr.data.volumes.labelled import write_labelled
from gpemsr.data.volumes.reader import open_volume
from gpemsr.data.volumes.writer import TiffStackWriter
from gpemsr.errors import InputError
from gpemsr.files import replaced
from gpemsr.metrics.codebook_usage import CodebookUsage
from gpemsr.options.read import read_options, to_plain
from gpemsr.phantom.stack import phantom_sections
from gpemsr.volume.network import load_network

PHANTOM_SHAPE = (40, 384, 384)
LIKE_TEM: dict[str, Any] = {"voxel_size": (40.0, 4.0, 4.0)}
LIKE_FIB_SEM: dict[str, Any] = {"voxel_size": (40.0, 10.0, 10.0), "blur": 6, "dose": 250, "jitter": 0.5, "drift": 0.3}
MAX_SECTIONS = 64
MAX_SIDE = 1024
HELD_BACK = 0.2
MIN_SECTIONS = 10
MIN_SIDE = 64  # HR pixels, where the training crops are smaller
SPLITS = {"training on": "train", "held back": "test"}
COLUMNS = ("psnr_bicubic", "psnr", "ssim_bicubic", "ssim", "index_accuracy")


@dataclass(frozen=True)
class Demo:
    """What to train on and how, or what to try a trained network on."""

    out: Path
    """Folder of all results."""
    options: Path
    """Folder of ``stage1.yml``, ``stage2_x8.yml``, ..."""
    scale: int = 8
    """HR over LR size, 8 or 16."""
    data: Path | None = None
    """An EM stack; None for the phantom."""
    dataset: str | None = None
    """Which one in an HDF5 or Zarr file."""
    voxel_size: tuple[float, float, float] | None = None
    """(z, y, x) in nm, if the file lacks it."""
    every: int = 1
    """Take every k-th section."""
    note: str | None = None
    """A line for the picture."""
    precision: Precision = "fp32"
    """What the trained network computes in."""
    consistent: bool = False
    """Whether to give images that, degraded, are the LR sections."""
    weights: Path | None = None
    """Checkpoint of this scale that names its network; None to train one."""

    @property
    def stages(self) -> list[str]:
        """Names of the option files of what is trained."""
        if self.weights:
            return []
        return ["stage1", f"stage2_x{self.scale}", f"stage3_x{self.scale}"]

    def check(self) -> int:
        """The largest training crop of the stages, in HR pixels.

        Raises:
            InputError: an option file is absent, or one that the demo cannot work with.
        """
        crops, perceptual = [MIN_SIDE], "vqgan"
        for name in self.stages:
            file = self.options / f"{name}.yml"
            if not file.is_file():
                raise InputError(f"--options {self.options}: has no {name}.yml; expected a folder like options/demo")
            options = read_options(file)
            try:
                crops.append(options["datasets"]["train"]["gt_size"] or 0)
                options["datasets"]["val"]["dataroot_gt"]
                perceptual = options["network_g"].get("perceptual", "vgg19")
            except (KeyError, TypeError):
                needs = "datasets.train.gt_size, datasets.val.dataroot_gt and network_g"
                raise InputError(f"{file}: needs {needs}") from None
        if perceptual != "vqgan":
            raise InputError(f"{file}: network_g.perceptual={perceptual}: expected vqgan, as the demo scores the codes")
        return max(crops)

    def make_data(self) -> str:
        """Write LMDBs of the training and of the held-back sections below ``<out>/data``; says which they are.

        Raises:
            InputError: as :meth:`check`; the stack has too few sections, or sections smaller than a training crop.
        """
        side = self.check()
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"--out {self.out}: the folder cannot be created ({error.strerror})") from None
        look = LIKE_FIB_SEM if self.weights else LIKE_TEM  # shipped networks know the former
        data = self.data or write_phantom(self.out / "data" / "phantom.tif", **look)
        with open_volume(data, self.dataset, self.voxel_size, on_missing="replace") as volume:
            numbers = [volume.numbers[i] for i in range(0, volume.shape[0], self.every)][:MAX_SECTIONS]
            height, width = volume.shape[1:]
            if len(numbers) < MIN_SECTIONS or min(height, width) < side:
                raise InputError(
                    f"{data}: {len(numbers)} sections of {height} x {width} pixels; "
                    f"expected at least {MIN_SECTIONS} of {side} x {side}"
                )
            held_back = max(2, round(HELD_BACK * len(numbers)))
            parts = {"held back": numbers[-held_back:]}
            if not self.weights:
                parts = {"training on": numbers[:-held_back], **parts}
            y, x = middle(height), middle(width)
            job = LmdbJob(
                out=self.out / "data",
                name="demo",
                volume="demo",
                scales=[self.scale],
                splits={SPLITS[name]: (part[0], part[-1]) for name, part in parts.items()},
                crop=((None, None), y, x),
                every=self.every,
                overwrite=True,
            )
            make_lmdbs(volume, job)
        used = ", ".join(f"{name} sections {part[0]}-{part[-1]}" for name, part in parts.items())
        return f"{data}: {used}, y {y[0]}:{y[1]}, x {x[0]}:{x[1]}"

    def train(self) -> dict[str, float]:
        """Train the three stages; seconds of each."""
        seconds = {}
        for name in self.stages:
            write_options(self.options / f"{name}.yml", self.out)
            seconds[name] = train(name, self.out).seconds
        return seconds

    def evaluate(self, seconds: dict[str, float]) -> tuple[float, str]:
        """Super-resolve the held-back sections; write ``sr.tif``, ``scores.csv``, ``results.md``, ``comparison.png``.

        Returns:
            Mean PSNR minus that of bicubic interpolation (dB), and the results as Markdown.
        """
        net, dataset, info = self._trained()
        usage = CodebookUsage(net.prior.vqgan.codebook.embedding.num_embeddings, 10**9, next(net.parameters()).device)
        kind = LmdbJob.degradation if self.consistent else None
        sections, results = held_back_sections(net, dataset, usage, self.precision, kind), []
        shape = (len(dataset), info.height, info.width)
        with TiffStackWriter(self.out / "sr.tif", shape, info.dtype, info.voxel_size) as stack:
            for result in tqdm(sections, "super-resolve", len(dataset), unit="section", disable=None):
                results.append(result)
                stack.write(info.grey_range.from_unit(result.sr, info.dtype))
        rows = [[result.key.split("/")[-1], *(result.scores[name] for name in COLUMNS)] for result in results]
        rows.append(["mean", *np.nanmean([row[1:] for row in rows], axis=0).tolist()])
        with replaced(self.out / "scores.csv") as file, file.open("w", newline="") as sink:
            csv.writer(sink).writerows([["section", *COLUMNS], *rows])
        text = report(rows, usage, seconds)
        with replaced(self.out / "results.md") as file:
            file.write_text(text)
        gains = [result.scores["psnr"] - result.scores["psnr_bicubic"] for result in results]
        median = results[int(np.argsort(gains)[len(gains) // 2])]
        with replaced(self.out / "comparison.png") as file:
            plot_comparison(median, file, info.voxel_size[2] if info.voxel_size else None, self.note)
        return float(np.nanmean(gains)), text

    def _trained(self) -> tuple[GPEMSR, SectionWindowTestDataset, VolumeInfo]:
        """The trained network, the held-back sections, and what their data set says of them."""
        register()
        from basicsr.data import build_dataset

        device, file, weights = "cuda" if torch.cuda.is_available() else "cpu", None, self.weights
        if weights is None:
            name = self.stages[-1]
            file = str(self.out / "options" / f"{name}.yml")
            weights = self.out / "experiments" / name / "models" / "net_g_latest.pth"
        net = load_network(file, str(weights), device)
        if not isinstance(net, GPEMSR) or net.prior.vqgan.encoder is None:
            raise InputError(f"{weights}: expected GPEMSR with perceptual: vqgan, as the demo scores the codes")
        roots = {key: str(self.out / "data" / f"demo_test_{part}.lmdb") for key, part in self._roots.items()}
        section = {"name": "test", "type": "SectionWindowTestDataset", "phase": "val", "io_backend": {"type": "lmdb"}}
        dataset = build_dataset({**section, **roots, "num_frame": net.num_frame, "scale": self.scale})
        (info,) = open_section_store(roots["dataroot_gt"], "lmdb").volumes.values()
        return net, dataset, info

    @property
    def _roots(self) -> dict[str, str]:
        return {"dataroot_gt": "hr", "dataroot_lq": f"lr_x{self.scale}"}


def write_phantom(path: Path, voxel_size: tuple[float, float, float], **look: float) -> Path:
    """Write the synthetic stack of the demo as TIFF; returns its path."""
    sections = phantom_sections(PHANTOM_SHAPE, voxel_size, **look)
    shown = tqdm(sections, total=PHANTOM_SHAPE[0], unit="section", desc="phantom", disable=None)
    write_labelled(shown, PHANTOM_SHAPE, voxel_size, raw=path)
    return path


def middle(side: int) -> tuple[int, int]:
    """The middle of an axis, a multiple of 16 and at most ``MAX_SIDE`` long, as (start, stop)."""
    length = min(MAX_SIDE, side // 16 * 16)
    start = (side - length) // 2
    return start, start + length


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


def report(rows: list[list], usage: CodebookUsage, seconds: dict[str, float]) -> str:
    """The results as Markdown: lines of ``scores.csv``, the codes of the HR sections, the time of each stage."""
    lines = ["| section | PSNR bicubic | PSNR GPEMSR | SSIM bicubic | SSIM GPEMSR | index accuracy |"]
    lines += ["|---|---|---|---|---|---|"]
    lines += [f"| {name} | {b:.2f} | {p:.2f} | {sb:.4f} | {s:.4f} | {a:.1%} |" for name, b, p, sb, s, a in rows]
    used = f"{int((usage.counts > 0).sum())} of {len(usage.counts)} codes used"
    lines += ["", f"Codebook: {used} on the held-back sections, perplexity {usage.perplexity().item():.1f}."]
    if not seconds:
        return "\n".join(lines) + "\n"
    times = {**seconds, "together": sum(seconds.values())}
    lines += [
        "",
        "| stage | time |",
        "|---|---|",
        *(f"| {name} | {value / 60:.1f} min |" for name, value in times.items()),
    ]
    return "\n".join(lines) + "\n"


def plot_comparison(
    result: SectionResult, path: Path, pixel_size: float | None = None, note: str | None = None
) -> None:
    """Write a PNG of LR, bicubic, GPEMSR and HR: the whole section, and a zoom on its most detailed quarter.

    Args:
        pixel_size: nm of an HR pixel, for the scale bars; None for none.
        note: a line at the bottom, for the origin of the data.
    """
    height, width = result.gt.shape
    side = max(32, min(height, width) // 4)
    y, x = most_detailed(result.gt, side)
    scale, scores = height // result.lq.shape[0], result.scores
    panels = {
        f"LR, x{scale} coarser": result.lq.repeat(scale, 0).repeat(scale, 1),
        f"bicubic {scores['psnr_bicubic']:.2f} dB, {scores['ssim_bicubic']:.3f}": result.bicubic,
        f"GPEMSR {scores['psnr']:.2f} dB, {scores['ssim']:.3f}": result.sr,
        "HR": result.gt,
    }
    figure, cells = panel_grid(len(panels), 2, len(panels), 4.0, height / width)
    look = {"cmap": "gray", "vmin": result.gt.min(), "vmax": result.gt.max(), "interpolation": "none"}
    box = slice(y, y + side), slice(x, x + side)
    for (title, image), (whole, zoom) in zip(panels.items(), cells, strict=True):
        whole.set_title(title, fontsize=13)
        show_with_zoom(whole, zoom, image, (slice(0, height), slice(0, width)), box, look)
    if pixel_size:
        for axis in cells[0]:
            axis.add_artist(scale_bar(pixel_size))
    figure.supxlabel(note or "", fontsize=10)
    figure.savefig(path)
