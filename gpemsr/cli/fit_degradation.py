"""``gpemsr-fit-degradation``: the parameters of the degradation ``em`` from a slow and a fast scan of one field."""

from __future__ import annotations

import argparse
from pathlib import Path

from gpemsr.cli import new_parser
from gpemsr.data.grey_values import RANGE_HELP, parse_range
from gpemsr.errors import InputError, command

MAX_SECTIONS = 32


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    parse = new_parser(
        "fit-degradation",
        "Register a fast scan to a slow one of the same field, fit blur, dose, read noise, correlation and gain of the "
        "degradation em, and compare it with the fast scan. Prints and writes the options.",
    )
    parse.add_argument("slow", help="volume of the slow scan, HR")
    parse.add_argument("fast", help="volume of the fast scan: of the same size, or smaller by the scale")
    parse.add_argument("--scale", type=int, default=8, help="HR pixels per LR pixel (default 8)")
    parse.add_argument("--range", nargs="+", metavar="LOW HIGH", help=f"of both: {RANGE_HELP}")
    parse.add_argument("--out", type=Path, default=Path("degradation.yml"), help="file of the options")
    parse.add_argument("--figure", type=Path, help="PNG of residuals and spectra (default: next to --out)")
    return parse


@command
def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code (2 for bad input)."""
    arguments = parser().parse_args(argv)
    if arguments.scale < 2:
        raise InputError(f"--scale {arguments.scale}: expected 2 or more")
    import yaml

    from gpemsr.data.fit_degradation import draw, fit_em
    from gpemsr.files import replaced

    choice = parse_range(arguments.range)
    fit = fit_em(read_unit(arguments.slow, choice), read_unit(arguments.fast, choice), arguments.scale)
    print(f"moved by (y, x) = ({fit.shift[0]:.2f}, {fit.shift[1]:.2f}) HR pixels")
    print("residual at LR resolution           real  simulated")
    for name, value in (
        ("standard deviation", lambda residual: residual.deviation),
        ("lag-1 correlation along x", lambda residual: residual.correlation(2)),
        ("lag-1 correlation along y", lambda residual: residual.correlation(1)),
    ):
        print(f"{name:30}{value(fit.real):10.4f}{value(fit.simulated):11.4f}")
    text = yaml.safe_dump({"degradation": {"kind": "em", **fit.parameters}}, sort_keys=False)
    print(text, end="")
    with replaced(arguments.out) as file:
        file.write_text(text, encoding="utf-8")
    with replaced(arguments.figure or arguments.out.with_suffix(".png")) as file:
        draw(fit, file)
    return 0


def read_unit(path: str, choice):
    """At most :data:`MAX_SECTIONS` sections of a volume, (n, y, x) float32 in [0, 1]."""
    import numpy as np

    from gpemsr.data.grey_values import choose_range
    from gpemsr.data.volumes.reader import open_volume

    with open_volume(path) as volume:
        sections = volume.read(range(min(volume.shape[0], MAX_SECTIONS)))
        observed = float(sections.min()), float(sections.max())
        grey_range = choose_range(choice, volume.dtype, observed, lambda: sections, path)
    grey_range.warn_if_unused(*observed, path)
    return np.asarray(grey_range.to_unit(sections))


if __name__ == "__main__":
    raise SystemExit(main())
