"""``gpemsr-parameters``: a table of the networks that option files describe, with their numbers of parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpemsr.cli import new_parser
from gpemsr.errors import InputError, command

COLUMNS = ("name", "network", "scale", "learned", "all")


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; returns the exit code."""
    parse = new_parser(
        "parameters",
        "Print a table of the networks that option files describe: name, type, scale, learned parameters, and all "
        "parameters, frozen ones too. Weights are neither read nor downloaded.",
    )
    parse.add_argument("files", nargs="+", metavar="FILE", help="option file (YAML)")
    files = parse.parse_args(argv).files
    rows = [row(file) for file in files]
    print("| " + " | ".join(COLUMNS) + " |")
    print("|---|---|--:|--:|--:|")
    for cells in rows:
        print("| " + " | ".join(cells) + " |")
    return 0


def row(file: str) -> tuple[str, ...]:
    """The table's cells of one option file. Raises InputError if it has no network, or one that cannot be built."""
    from gpemsr import register
    from gpemsr.benchmark.cost import count_parameters
    from gpemsr.options.read import read_options

    options = read_options(file)
    section = options.get("network_g")
    if not isinstance(section, Mapping) or "type" not in section:
        raise InputError(f"{file}: network_g is missing: expected a network with its type")
    register()
    net = build(section, file)
    counts = [count_parameters(net, learned_only) for learned_only in (True, False)]
    scale = section.get("scale", "")
    return (str(options.get("name", "")), section["type"], f"{scale}", *(f"{count:,}" for count in counts))


def build(section: Mapping[str, Any], file: str) -> Any:
    """The network of a ``network_g`` section without published weights and, where it can do without, without memory.

    Raises:
        InputError: an option is wrong.
    """
    from basicsr.utils.registry import ARCH_REGISTRY

    from gpemsr.checkpoints.networks import weightless
    from gpemsr.options.place import Place, check_component, without_files

    bare = without_files(section)
    check_component(ARCH_REGISTRY, bare, Place(file, "network_g"))
    return weightless(bare)


if __name__ == "__main__":
    raise SystemExit(main())
