"""Sizes of the network of the stage before, from its checkpoint: stages II and III need not repeat them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpemsr.checkpoints.files import network_options, read_checkpoint
from gpemsr.checkpoints.networks import NESTED, complete
from gpemsr.errors import InputError
from gpemsr.options.place import Place


def take_sizes(options: Mapping[str, Any], file: str) -> None:
    """Complete ``network_g`` of a training, in place, with the network that ``path.pretrain_prior`` was saved with.

    That is ``network_g.vqgan`` of stage II and ``network_g.prior`` of stage III. A checkpoint that does not say (the
    authors'), that is of another stage or cannot be read changes nothing.

    Args:
        options: an option file's content, checked or not.

    Raises:
        InputError: the option file has another value, or the checkpoint names options that no network has.
    """
    network, path = options.get("network_g"), options.get("path")
    if not options.get("train") or not isinstance(network, dict) or not isinstance(path, Mapping):
        return
    checkpoint = path.get("pretrain_prior")
    part, inner = NESTED.get(str(network.get("type")).removesuffix("Without"), ("", ""))
    if not part or not isinstance(checkpoint, str) or not Path(checkpoint).expanduser().is_file():
        return  # what is wrong is refused with the other options
    try:
        earlier = network_options(read_checkpoint(checkpoint))
    except InputError:
        return  # so is this, unless a training is resumed, which needs it no more
    if earlier is None or earlier["type"] != inner:
        return
    place = Place(file, "network_g")
    try:
        sizes = complete(earlier)
    except (TypeError, ValueError) as error:
        raise InputError(f"{file}: path.pretrain_prior={checkpoint}: {error}") from None
    del sizes["type"]
    if "scale" in sizes:
        _fill(network, {"scale": sizes.pop("scale")}, place, checkpoint)
    _fill(network, {part: sizes}, place, checkpoint)


def _fill(given: dict[str, Any], sizes: Mapping[str, Any], place: Place, checkpoint: str) -> None:
    """Put ``sizes`` into ``given``; refuse the first that is there with another value."""
    for key, value in sizes.items():
        if isinstance(value, Mapping):
            below = given.setdefault(key, {})
            if below is None:
                below = given[key] = {}
            if isinstance(below, dict):
                _fill(below, value, place / key, checkpoint)
        elif key in given and given[key] != value:
            (place / key).fail(given[key], f"{json.dumps(value)} is expected, as in {checkpoint}")
        elif key != "with_encoder":  # the later stage's to say
            given[key] = value
