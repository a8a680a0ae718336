"""Loading checkpoint files, ours and the authors', into our networks."""

from __future__ import annotations

from collections.abc import Mapping

from gpemsr.checkpoints.authors import Comparison, from_authors, recognise
from gpemsr.checkpoints.files import State, load_authors_file
from gpemsr.checkpoints.networks import shapes_of
from gpemsr.errors import InputError


def load_network_state(path: str, param_key: str | None = "params") -> State:
    """State dict of ours from a checkpoint file: ours as it is, the authors' converted.

    Args:
        param_key: the state dict in it to take; ``params`` or ``params_ema`` is taken where it is absent.

    Raises:
        InputError: the file cannot be read, or is an authors' file whose keys do not match.
    """
    state = load_authors_file(path, param_key)
    if recognise(state) in (None, "PatchDiscriminator"):
        return state
    try:
        return from_authors(state)[1]
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def check_state(path: str, options: Mapping, param_key: str | None = "params", prefix: str = "") -> State:
    """A checkpoint's state dict, checked to match a network, or the part of it below ``prefix``.

    Args:
        param_key: as for :func:`load_network_state`.
        prefix: such as ``prior.``; an encoder that the part was made without may be in the file.

    Raises:
        InputError: the file cannot be read, or some of its keys or shapes do not match.
    """
    downloads = {key: None for key in ("vgg_weights", "flow_weights", "spynet_path") if key in options}
    needed = {key: shape for key, shape in shapes_of({**options, **downloads}).items() if key.startswith(prefix)}
    shapes = {key.removeprefix(prefix): shape for key, shape in needed.items()}
    state = load_network_state(path, param_key)
    if not any(key.startswith("vqgan.encoder.") for key in shapes):
        state = {key: value for key, value in state.items() if not (prefix and key.startswith("vqgan.encoder."))}
    comparison = Comparison({"type": ""}, {key: key for key in shapes})
    comparison.check(state, shapes)
    if comparison.problems:
        where = f", at {prefix.rstrip('.')}" if prefix else ""
        raise InputError(f"not the weights of this {options['type']}{where}: {comparison.summarise()}")
    return state
