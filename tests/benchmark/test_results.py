"""Documents quote the figures of the committed reports."""

import csv
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_readme_has_the_figures_of_the_report():
    table = re.findall(
        r"^\| (\S+) \| (\S+) dB \| (\S+) \| (\S+) nm \|$", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    with (ROOT / "docs" / "results" / "fib25_x8" / "summary.csv").open() as file:
        found = {row["name"]: row for row in csv.DictReader(file)}
    assert len(table) == 6
    for name, *figures in table:
        psnr, ssim, frc = (float(found[name][f"{measure}_mean"]) for measure in ("psnr", "ssim", "frc_nm"))
        assert figures == [f"{psnr:.2f}", f"{ssim:.4f}", f"{frc:.1f}"]
