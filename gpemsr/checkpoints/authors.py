"""The weights that the GPEMSR authors released, under their names and under ours.

They are the same tensors; the key names differ (:mod:`gpemsr.checkpoints.authors_names`), and some of the authors'
layers are never used in their forward pass: those are dropped, and named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gpemsr.checkpoints.authors_names import authors_names, is_unused, options_of, rename
from gpemsr.checkpoints.files import State, unwrap
from gpemsr.checkpoints.networks import NESTED, complete, shapes_of
from gpemsr.errors import InputError

# network -> what to call it, and a key by which the authors' file of it is recognised; the first match counts
AUTHORS = {
    "GPEMSR": ("stage III network", r"(refmodel|align_module|ThreeDA)\..+"),
    "LatentIndexer": ("stage II generator", r"indexer\..+"),
    "VQGAN": ("stage I generator", r"(encoder|decoder)\.(input_layer|feat_extract|output_layer)\..+"),
    "PatchDiscriminator": ("stage I discriminator", r"model\.\d+\.(weight|bias)"),
}
# files of others that are used as they are
DIRECT = {
    "torchvision's VGG19": (r"features\.34\.weight", "vgg_weights"),
    "BasicSR's SPyNet": (r"basic_module\.\d\.basic_module\.\d\.weight", "flow_weights"),
}
# what the shapes do not show, and what the authors' code has there
FIXED: dict[str, dict[str, Any]] = {
    "VQGAN": {"norm_groups": 32},
    "LatentIndexer": {"norm_groups": 32},
    "PatchDiscriminator": {},
    "GPEMSR": {"perceptual": "vgg19", "flow_scale": 4, "flow_levels": 6, "bidirectional_flow": False},
}


@dataclass
class Comparison:
    """How well an authors' state dict matches a network of ours."""

    options: dict
    """The network's ``network_g`` options."""
    keys: dict[str, str]
    """The authors' key -> ours, for each entry of our state dict."""
    missing: list[str] = field(default_factory=list)
    """Authors' keys that the file lacks."""
    left_over: list[str] = field(default_factory=list)
    """Keys in the file that no layer of the authors' network has."""
    misshapen: list[str] = field(default_factory=list)
    """``<key> <shape>, expected <shape>`` of each."""
    unused: list[str] = field(default_factory=list)
    """Authors' keys of layers that are never used, which are dropped."""

    def check(self, state: State, shapes: Mapping[str, torch.Size]) -> None:
        """Record what in ``state`` does not match; ``shapes`` has our keys."""
        scale = self.options.get("scale") if self.options["type"] == "GPEMSR" else None
        self.missing = [key for key in self.keys if key not in state]
        for key, value in state.items():
            if key in self.keys:
                expected = shapes[self.keys[key]]
                if value.shape != expected:
                    self.misshapen.append(f"{key} {tuple(value.shape)}, expected {tuple(expected)}")
            elif scale and is_unused(key, scale):
                self.unused.append(key)
            else:
                self.left_over.append(key)

    @property
    def problems(self) -> int:
        """Number of keys that do not match."""
        return len(self.missing) + len(self.left_over) + len(self.misshapen)

    def convert(self, state: State) -> State:
        """The entries of ``state`` under our keys."""
        return {ours: state[theirs] for theirs, ours in self.keys.items()}

    @property
    def parts(self) -> dict[str, list[str]]:
        """The keys that do not match, by kind."""
        return {"missing": self.missing, "left over": self.left_over, "of another shape": self.misshapen}

    def describe(self) -> str:
        """Name every key that does not match."""
        return "; ".join(f"{len(keys)} {what}: {', '.join(keys)}" for what, keys in self.parts.items() if keys)

    def summarise(self) -> str:
        """Name one key of each kind that does not match."""
        return "; ".join(f"{len(keys)} {what}, such as {keys[0]}" for what, keys in self.parts.items() if keys)


def recognise(state: Mapping[str, Tensor]) -> str | None:
    """Our network's name if ``state`` (bare) has the authors' key names, else None.

    The discriminator's keys are the same in both.
    """
    for network, (_, pattern) in AUTHORS.items():
        if any(re.fullmatch(pattern, key) for key in state):
            return network
    return None


def used_directly(state: Mapping[str, Tensor]) -> tuple[str, str] | None:
    """(What it is, the option that takes it) if ``state`` is a VGG19 or SPyNet file, else None."""
    for what, (pattern, option) in DIRECT.items():
        if any(re.fullmatch(pattern, key) for key in state):
            return what, option
    return None


def explain_direct(what: str, option: str) -> str:
    """How a file of :func:`used_directly` is used."""
    return f"{what}, used as it is: give its path as {option} in network_g"


def describe(options: Mapping) -> str:
    """Such as "stage III network x8"; of a network that the authors do not have, its name."""
    name, scale = options["type"], f" x{options['scale']}" if "scale" in options else ""
    return (AUTHORS[name][0] if name in AUTHORS else name) + scale


def from_authors(state_dict: Mapping) -> tuple[dict, State]:
    """The authors' weights as ours.

    Args:
        state_dict: with the authors' key names; bare, in ``params`` or ``params_ema``, or with ``module.``.

    Returns:
        The ``network_g`` options, complete and with ``type``, and the state dict that the network built of them
        loads strictly. Tensors are shared, not copied.

    Raises:
        InputError: it is none of the authors' networks, or some keys do not match; all are named.
    """
    state = unwrap(state_dict)
    comparison = compare(state)
    return comparison.options, comparison.convert(state)


def to_authors(network_options: Mapping, our_state_dict: Mapping) -> State:
    """Our weights under the authors' key names (without the layers that they never use).

    Raises:
        InputError: their code has no such network, or the state dict is not that of ``network_options``.
    """
    if network_options.get("type") not in AUTHORS:
        raise InputError(f"type={network_options.get('type')}: expected one of {', '.join(AUTHORS)}")
    try:
        options = complete(network_options)
        shapes = shapes_of(options)
    except (TypeError, ValueError) as error:
        raise InputError(f"network options: {error}") from None
    _refuse_ours_only(options)
    state = unwrap(our_state_dict)
    comparison = Comparison(options, {key: key for key in shapes})
    comparison.check(state, shapes)
    if comparison.problems:
        raise InputError(f"not a state dict of this {options['type']}: {comparison.describe()}")
    table = authors_names(options)
    return {rename(key, table): state[key] for key in shapes}


def compare(state: State) -> Comparison:
    """Recognise an authors' state dict (bare) and find the network of ours that it matches.

    Raises:
        InputError: it is none of the authors' networks, or some keys do not match; all are named.
    """
    network = recognise(state)
    direct = used_directly(state)
    if network is None and direct:
        raise InputError(explain_direct(*direct))
    if network is None:
        raise InputError(f"none of the authors' networks: its keys are such as {', '.join(list(state)[:3])}")
    best: Comparison | None = None
    for options in _candidates(network, state):
        table = authors_names(options)
        shapes = shapes_of(options)
        comparison = Comparison(options, {rename(key, table): key for key in shapes})
        comparison.check(state, shapes)
        if not comparison.problems:
            return comparison
        if best is None or comparison.problems <= best.problems:
            best = comparison
    assert best is not None  # the paper's widths always make a network
    raise InputError(f"nearly the authors' {describe(best.options)}: {best.describe()}")


def _candidates(network: str, state: State) -> Iterator[dict]:
    """Complete options that the file may have, the likeliest first: with the widths of its shapes, then the paper's."""
    scales: tuple[int | None, ...] = (None,)
    if network in NESTED:
        scales = (8, 16) if any(re.search(r"indexer\..*\.downblock\.", key) for key in state) else (16, 8)
    for infer in (True, False):
        for scale in scales:
            options: dict[str, Any] = {"type": network} if scale is None else {"type": network, "scale": scale}
            try:
                yield complete({**options, **options_of(network, state)} if infer else options)
            except ValueError:  # the shapes make no network: comparing with the paper's shows which are wrong
                continue


def _refuse_ours_only(options: Mapping, place: str = "") -> None:
    """Raise InputError if the network computes what the authors' code cannot."""
    for key, value in FIXED[options["type"]].items():
        if options[key] != value:
            raise InputError(f"{place}{key}={options[key]}: the authors' code has {value} only")
    if options.get("hr_feat") not in (None, options.get("num_feat")):
        raise InputError(f"{place}hr_feat={options['hr_feat']}: the authors' code has num_feat only")
    if options["type"] in NESTED:
        name, inner = NESTED[options["type"]]
        _refuse_ours_only(options[name] | {"type": inner}, f"{place}{name}.")
