"""``gpemsr-convert``: the authors' released weights as ours, and back; ours in half precision, to share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from gpemsr.cli import new_parser
from gpemsr.errors import InputError, command
from gpemsr.files import sha256

EXAMPLES = """examples:
  say what a file is, and the network_g section that it matches:
    gpemsr-convert stage3_x8.pth
  convert it:
    gpemsr-convert stage3_x8.pth --out gpemsr_x8.pth
  back to the authors' names; a checkpoint that does not record its network needs the option file of its training:
    gpemsr-convert gpemsr_x8.pth --to-authors --out stage3_x8.pth
    gpemsr-convert net_g_latest.pth --to-authors --options options/stage3_x8.yml --out stage3_x8.pth
  a checkpoint of a training in half precision, to share:
    gpemsr-convert net_g_latest.pth --param-key params_ema --out gpemsr_x8.safetensors
  between a faithful network and a sharp one that was trained on from it, a third of the way:
    gpemsr-convert faithful.pth --blend sharp.pth 0.33 --out between.pth

Conversion is not needed for training and testing: pretrain_network_g takes the authors' files as they are.
"""


@command
def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit code (2 for bad input)."""
    parse = new_parser(
        "convert",
        "Recognise a checkpoint of the GPEMSR authors (stage I generator or discriminator, stage II generator, "
        "stage III network; x8 and x16) and convert it to this package's key names, or back. A FILE of --out named "
        ".safetensors gets half precision.",
        EXAMPLES,
    )
    parse.add_argument("file", type=Path, help="checkpoint, read without running code in it")
    parse.add_argument("--out", type=Path, metavar="FILE", help="file to write: {'params': weights, 'metadata': ...}")
    parse.add_argument("--param-key", metavar="KEY", help="weights to take where a file has several (default params)")
    help_text = "mix in this share (0 to 1) of the weights of another training of the same network"
    parse.add_argument("--blend", nargs=2, metavar=("FILE", "SHARE"), help=help_text)
    parse.add_argument("--to-authors", action="store_true", help="from this package's key names to the authors'")
    parse.add_argument("--options", type=Path, metavar="YML", help="with --to-authors: has the file's network_g")
    parse.add_argument("--overwrite", action="store_true", help="replace the file of --out")
    arguments = parse.parse_args(argv)
    out = arguments.out
    if out is not None and out.exists() and not arguments.overwrite:
        raise InputError(f"{out} exists; --overwrite replaces it")
    if out is not None and not out.absolute().parent.is_dir():
        raise InputError(f"{out}: no such folder")
    if arguments.options and not arguments.to_authors:
        raise InputError("--options is for --to-authors only")
    if arguments.blend and out is None:
        raise InputError("--blend makes a checkpoint: --out FILE is expected")
    from gpemsr.checkpoints import authors, networks
    from gpemsr.checkpoints import files as checkpoint_files

    loaded = checkpoint_files.read_checkpoint(arguments.file)
    try:
        state = checkpoint_files.unwrap(loaded, arguments.param_key)
        checkpoint_files.check_weights(state)
        if arguments.blend:
            other, share = arguments.blend
            state = _blended(state, other, share, arguments.param_key)
        direct = authors.used_directly(state)
        ours = checkpoint_files.network_options(loaded)
        if direct and out is None:
            print(f"{arguments.file}: {authors.explain_direct(*direct)}")
            return 0
        if arguments.to_authors:
            options = _network_options(loaded, arguments.options)
            converted = authors.to_authors(options, state)
            options = networks.complete(options)
            print(f"{arguments.file}: our {authors.describe(options)}, every key matches")
        elif ours:
            options, converted = networks.complete(ours), state
            print(f"{arguments.file}: our {authors.describe(options)}")
        else:
            options, converted = _from_authors(arguments, state)
    except InputError as error:
        raise InputError(f"{arguments.file}: {error}") from None
    if out is not None:
        metadata = {
            "content": authors.describe(options),
            "key_names": "authors" if arguments.to_authors else "gpemsr",
            "scale": options.get("scale"),
            "network_g": options,
            "source": arguments.file.name,
            "source_sha256": sha256(arguments.file.expanduser()),
        }
        if arguments.blend:
            other = Path(arguments.blend[0]).expanduser()
            metadata |= {"blend": [other.name, arguments.blend[1]], "blend_sha256": sha256(other)}
        checkpoint_files.save_checkpoint(out, {"params": converted, "metadata": metadata})
        print(f"{out}: written, {len(converted)} entries")
    return 0


def _blended(state: dict, other: str, share: str, param_key: str | None) -> dict:
    from gpemsr.checkpoints import files as checkpoint_files
    from gpemsr.checkpoints.blending import blend

    try:
        number = float(share)
    except ValueError:
        raise InputError(f"--blend {other} {share}: a share from 0 to 1 is expected") from None
    weights = checkpoint_files.unwrap(checkpoint_files.read_checkpoint(other), param_key)
    checkpoint_files.check_weights(weights)
    try:
        return blend(state, weights, number)
    except InputError as error:
        raise InputError(f"--blend {other}: {error}") from None


def _from_authors(arguments: argparse.Namespace, state: dict) -> tuple[dict, dict]:
    import yaml

    from gpemsr.checkpoints import authors
    from gpemsr.checkpoints.authors_names import modules_of

    comparison = authors.compare(state)
    options = comparison.options
    print(f"{arguments.file}: the authors' {authors.describe(options)}, every key matches")
    if comparison.unused:
        modules = ", ".join(modules_of(comparison.unused))
        print(f"{len(comparison.unused)} of {len(state)} entries are left out, layers that they never use: {modules}")
    print(yaml.safe_dump({"network_g": options}, sort_keys=False, default_flow_style=None), end="")
    return options, comparison.convert(state)


def _network_options(loaded: dict, option_file: Path | None) -> dict[str, Any]:
    """``network_g`` of the option file or, without one, of the checkpoint's metadata."""
    from gpemsr.checkpoints import files as checkpoint_files

    if option_file:
        from gpemsr.options.read import read_options

        options = read_options(option_file).get("network_g")
        if not isinstance(options, dict) or "type" not in options:
            raise InputError(f"{option_file}: no network_g with a type")
        return options
    options = checkpoint_files.network_options(loaded)
    if options is None:
        raise InputError(
            "does not say which network it is for; the option file of its training is expected as --options"
        )
    return options


if __name__ == "__main__":
    raise SystemExit(main())
