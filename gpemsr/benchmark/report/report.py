"""Writing the report of a benchmark into its folder."""

from __future__ import annotations

from pathlib import Path

from gpemsr.benchmark.report.csv_files import write_csv_files
from gpemsr.benchmark.report.figures import draw_pictures
from gpemsr.benchmark.report.pages import render
from gpemsr.benchmark.report.results import load_benchmark
from gpemsr.errors import InputError
from gpemsr.files import replaced


def write_report(folder: Path) -> None:
    """Write ``report.html``, ``report.md``, ``figures/*.png``, ``summary.csv`` and ``sections.csv``.

    Args:
        folder: of a benchmark, with ``benchmark.json`` and ``rows/<slug>/row.json``. What it lacks beyond the first
            (rows, images, segmentations) is left out of the report; rows without figures are named with their reason.

    Raises:
        InputError: ``benchmark.json`` is absent or does not fit, or a file cannot be written.
    """
    benchmark = load_benchmark(folder)
    write_csv_files(benchmark)
    pictures = draw_pictures(benchmark)
    figures = benchmark.folder / "figures"
    try:
        figures.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"{figures}: cannot be made ({error})") from error
    for file in set(figures.glob("*.png")) - {figures / picture.name for picture in pictures}:
        file.unlink()  # of an earlier report
    for picture in pictures:
        with replaced(figures / picture.name) as file:
            file.write_bytes(picture.png)
    for name in ("report.md", "report.html"):
        with replaced(benchmark.folder / name) as file:
            file.write_text(render(f"{name}.jinja", benchmark, pictures), encoding="utf-8")
