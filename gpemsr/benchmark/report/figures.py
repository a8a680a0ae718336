"""All pictures of the report, in their order, with what they show and by which rule."""

from __future__ import annotations

import numpy as np

from gpemsr.benchmark.options import slug
from gpemsr.benchmark.report.choice import Choice, choose_sections
from gpemsr.benchmark.report.crops import plot_crops
from gpemsr.benchmark.report.overlays import plot_overlays
from gpemsr.benchmark.report.pictures import Picture, picture
from gpemsr.benchmark.report.plots import plot_bars, plot_frc, plot_time
from gpemsr.benchmark.report.results import Benchmark
from gpemsr.benchmark.report.summary import BASELINE

# bytes; together below 2 MB
PLOT = 50_000
CROPS = 300_000
OVERLAYS = 350_000

Images = dict[int, dict[str, np.ndarray]]


def draw_pictures(benchmark: Benchmark) -> list[Picture]:
    """Draw whatever the benchmark's folder has the data for and its options allow."""
    choice = choose_sections(benchmark)
    hr = benchmark.stack(benchmark.hr)
    shown = sorted(set(choice.sections.values())) if choice and hr is not None else []
    stacks = _stacks(benchmark, hr) if hr is not None else {}
    images = {index: {slug: stack[index] for slug, stack in stacks.items()} for index in shown}
    pictures = _plots(benchmark, hr, stacks)
    if benchmark.show_sections:
        pictures += _crops(benchmark, choice, hr, images) if choice and hr is not None else []
        pictures += _overlays(benchmark, hr)
    return pictures


def _stacks(benchmark: Benchmark, hr: np.ndarray) -> dict[str, np.ndarray]:
    """The ``sr.tif`` of each row that fits the HR stack."""
    found = {row.slug: benchmark.row_stack(row, "sr.tif") for row in benchmark.scored}
    return {slug: stack for slug, stack in found.items() if stack is not None and stack.shape == hr.shape}


def _plots(benchmark: Benchmark, hr: np.ndarray | None, stacks: dict[str, np.ndarray]) -> list[Picture]:
    gained = any(row.slug == BASELINE for row in benchmark.scored)
    gain = ", PSNR's of what is gained over bicubic" if gained else ""
    spread = f"Bars are means over the sections{gain}, whiskers the standard deviation"
    hatched = "; oracles are hatched." if benchmark.oracles else "."
    made = []
    if figure := plot_bars(benchmark):
        made.append(picture(figure, "measures.png", "Measures", spread + hatched, PLOT))
    if figure := plot_time(benchmark):
        threads = f" with {benchmark.threads} thread{'s' * (benchmark.threads != 1)}" if benchmark.threads else ""
        caption = f"Mean PSNR against mean seconds per section{threads}: better is up and to the left."
        made.append(picture(figure, "psnr_seconds.png", "PSNR against time", caption, PLOT))
    if hr is not None and (figure := plot_frc(benchmark, hr, stacks)):
        caption = (
            "The mean over the sections. The resolution of a section is read where its own curve falls below 1/7; the "
            "table has the mean of these."
        )
        made.append(picture(figure, "frc.png", "Fourier ring correlation with HR", caption, PLOT))
    return made


def _crops(benchmark: Benchmark, choice: Choice, hr: np.ndarray, images: Images) -> list[Picture]:
    lr = benchmark.stack(benchmark.lr)
    made = []
    for rank, index in choice.sections.items():
        if index not in images:
            continue
        fits = lr is not None and index < len(lr) and np.prod(lr.shape[1:]) * benchmark.scale**2 == hr[0].size
        figure = plot_crops(benchmark, index, hr[index], lr[index] if lr is not None and fits else None, images[index])
        caption = (
            f"Section {_name(benchmark, index)}, {_rank_text(choice, index)} by {choice.rule}. Crop around the place "
            "with the strongest gradients of HR, zoom on it (box), and the error within the zoom; all panels share one "
            "grey window and one error scale. PSNR and SSIM are those of the whole section."
        )
        title = {"only": "Section"}.get(rank, f"{rank.capitalize()} section")
        made.append(picture(figure, f"section_{rank}.png", title, caption, CROPS))
    return made


def _overlays(benchmark: Benchmark, hr: np.ndarray | None) -> list[Picture]:
    made = []
    for segmenter in benchmark.segmenters:
        if drawn := plot_overlays(benchmark, segmenter, hr):
            figure, index = drawn
            caption = (
                f"Section {_name(benchmark, index)}, the middle one of those segmented: what {segmenter} found in each "
                "row's sections, over the HR section. Colours are drawn at random and do not correspond between "
                "panels."
            )
            name = f"segmentation_{slug(segmenter)}.png"
            limit = OVERLAYS // len(benchmark.segmenters)
            made.append(picture(figure, name, f"Segmented by {segmenter}", caption, limit))
    return made


def _name(benchmark: Benchmark, index: int) -> str:
    return benchmark.sections[index] if index < len(benchmark.sections) else str(index)


def _rank_text(choice: Choice, index: int) -> str:
    rank = next(name for name, section in choice.sections.items() if section == index)
    return "the only one scored" if rank == "only" else f"the {rank}"
