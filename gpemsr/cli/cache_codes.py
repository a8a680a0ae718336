"""``gpemsr-cache-codes -opt options/stage2_x8.yml``: stage II's target codes, computed once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpemsr.cli import new_parser
from gpemsr.errors import InputError, command


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Write the file of codes unless it is there; returns the exit code."""
    parse = new_parser(
        "cache-codes",
        "Compute the codes that stage I (path.pretrain_prior of an option file of stage II) gives the HR sections of "
        "datasets.train in each orientation, and write them to the file datasets.train.codes. A training with this "
        "option reads them.",
    )
    parse.add_argument("-opt", required=True, metavar="FILE", help="option file of stage II (YAML)")
    text = "options that replace the file's"
    parse.add_argument("--force_yml", nargs="+", default=[], metavar="SECTION:KEY=VALUE", help=text)
    parse.add_argument("--overwrite", action="store_true", help="replace the file of codes")
    arguments = parse.parse_args(argv)
    import torch

    from gpemsr import register
    from gpemsr.archs.blocks import lay_out
    from gpemsr.checkpoints.earlier_stage import take_sizes
    from gpemsr.checkpoints.inputs import check_inputs
    from gpemsr.checkpoints.loading import load_network_state
    from gpemsr.cli.launch import read
    from gpemsr.data.section_pair_dataset import SectionPairDataset
    from gpemsr.data.stored_codes import StoredCodes, check_weights, write_codes
    from gpemsr.options.check import check_options
    from gpemsr.options.place import Place

    register()
    from basicsr.archs import build_network

    top = Place(arguments.opt)
    options = read(arguments.opt, arguments.force_yml)
    take_sizes(options, arguments.opt)
    check_options(options, arguments.opt, True)
    if options["model_type"] != "LatentIndexerModel":
        (top / "model_type").fail(options["model_type"], "LatentIndexerModel (stage II) is expected")
    train, prior = options["datasets"]["train"], options["path"].get("pretrain_prior")
    codes = train.pop("codes", None)
    if codes is None:  # with codes, check_options has asked for pretrain_prior
        (top / "datasets.train.codes").fail_missing("expected the file to write, such as codes.safetensors")
    file = Path(codes).expanduser()
    if not file.absolute().parent.is_dir():
        raise InputError(f"{file}: no such folder")
    check_inputs(options, arguments.opt)
    data = SectionPairDataset({**train, "scale": options["scale"]})
    state = load_network_state(prior)
    if file.exists() and not arguments.overwrite:
        StoredCodes(codes, data.gt_store, data.augmentations)
        check_weights(codes, state, prior)
        print(f"{file}: already has the codes of these weights and sections")
        return 0
    device = torch.device("cuda" if torch.cuda.is_available() and options["num_gpu"] != 0 else "cpu")
    net: Any = lay_out(build_network(options["network_g"])).to(device).eval()
    net.vqgan.load_state_dict(state)
    write_codes(file, data.gt_store, data.augmentations, state, lambda image: net.targets(image.to(device)))
    print(f"{file}: codes of {len(data)} sections in {len(data.augmentations)} orientations")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
