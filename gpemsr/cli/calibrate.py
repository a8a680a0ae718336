"""``gpemsr-calibrate``: learn from held-back sections what error to expect from the trust layers."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from gpemsr.checkpoints.shipped import WEIGHTS_HELP, weights_file
from gpemsr.cli import new_parser
from gpemsr.data.degradations import LINEAR
from gpemsr.errors import InputError, command

EXAMPLES = """examples:
  of LMDBs that gpemsr-lmdb made, then in use:
    gpemsr-calibrate cell_test_hr.lmdb cell.json --lr cell_test_lr_x8.lmdb --weights net_g_latest.pth
    gpemsr-upscale lr.tif sr.zarr --weights net_g_latest.pth --trust full --calibration cell.json
"""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    parse = new_parser(
        "calibrate",
        "Learn from HR sections held back from training what error to expect from the trust layers of gpemsr-upscale.\n"
        "Writes OUTPUT, and a reliability plot next to it: the first half of the sections against the second.",
        EXAMPLES,
    )
    parse.add_argument("hr", help="LMDB of HR sections, or a folder with a folder of PNG sections for each volume")
    parse.add_argument("output", type=Path, help="JSON file to write")
    parse.add_argument("--lr", metavar="LMDB", help="LR sections that belong to them (default: made by --degradation)")
    parse.add_argument("--weights", metavar="FILE", help=WEIGHTS_HELP)
    parse.add_argument("-opt", metavar="FILE", help="option file with network_g, if the checkpoint does not say")
    parse.add_argument("--degradation", choices=LINEAR, default="bicubic", help="of training (default bicubic)")
    parse.add_argument("--trust", choices=("basic", "full"), default="full", help="layers (default full)")
    parse.add_argument("--note", default="", help="a line below the plot, such as the data's licence")
    parse.add_argument("--device", help="cpu or cuda (default: cuda if there is one)")
    return parse


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0, 2 for bad input."""
    arguments = parser().parse_args(argv)
    output: Path = arguments.output
    if output.suffix != ".json" or output.exists():
        raise InputError(f"{output}: expected the name of a new .json file")
    if not output.absolute().parent.is_dir():
        raise InputError(f"{output}: no such folder")
    weights = None if arguments.weights is None else str(weights_file(arguments.weights))
    import numpy as np

    from gpemsr import compat, register
    from gpemsr.data.section_window_test_dataset import SectionWindowTestDataset
    from gpemsr.files import sha256
    from gpemsr.volume.calibrate import draw_reliability, measure, scores
    from gpemsr.volume.calibration import Calibration
    from gpemsr.volume.network import VolumeNetwork, usable_device
    from gpemsr.volume.trust import CUES, layer_names

    register()
    compat.apply()
    network = VolumeNetwork(arguments.opt, weights, usable_device(arguments.device))
    options = {
        "name": "held back",
        "type": "SectionWindowTestDataset",
        "scale": network.scale,
        "dataroot_gt": arguments.hr,
        "io_backend": {"type": "lmdb" if arguments.hr.rstrip("/").endswith(".lmdb") else "disk"},
        **({"dataroot_lq": arguments.lr} if arguments.lr else {"degradation": {"kind": arguments.degradation}}),
    }
    stacks = list(SectionWindowTestDataset(options).stacks.values())
    names = [*layer_names(arguments.trust, network.has_prior), *CUES]
    known = measure(network, stacks, names, arguments.degradation, progress=True)

    checksum = None if weights is None else sha256(Path(weights))
    made = {"scale": network.scale, "weights": checksum, "degradation": arguments.degradation}
    first, second = known.halves()
    half = Calibration.fit(first.layers, first.squared, **made)
    grey_range = stacks[0].info.grey_range
    draw_reliability(output.with_suffix(".png"), half, second, grey_range.high - grey_range.low, arguments.note)
    Calibration.fit(known.layers, known.squared, **made).save(output)
    psnr = -10 * np.log10(known.squared.mean())
    print(f"{len(known.squared)} LR pixels, {psnr:.2f} dB; second half of the sections by the first:")
    print(f"{'layer':16}{'rank correlation':>18}{'worst tenth : rest':>20}")
    for name, score in scores(half, second).items():
        print(f"{name:16}{score.rank:18.2f}{score.ratio:20.2f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
