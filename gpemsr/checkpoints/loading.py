"""Checkpoint files: the authors' released weights, and ours.

The weights are the same tensors; the key names differ (:mod:`gpemsr.checkpoints.names`), and some of the authors'
layers are never used in their forward pass: those are dropped, knowingly, and named.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gpemsr.checkpoints import names as names
from gpemsr.checkpoints.files import State, load_authors_file, unwrap
from gpemsr.errors import InputError

# network -> what to call it, and a key by which the authors' file of it is known; the first that fits
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
# what no shape tells, and what the authors' code has there
FIXED: dict[str, dict[str, Any]] = {
    "VQGAN": {"norm_groups": 32},
    "LatentIndexer": {"norm_groups": 32},
    "PatchDiscriminator": {},
    "GPEMSR": {"perceptual": "vgg19", "flow_scale": 4, "flow_levels": 6, "bidirectional_flow": False},
}
NESTED = {"GPEMSR": ("prior", "LatentIndexer"), "LatentIndexer": ("vqgan", "VQGAN")}


@dataclass
class Comparison:
    """How an authors' state dict fits a network of ours.

    Attributes:
        options: ``network_g`` options of the network.
        keys: the authors' key -> ours, for each entry of our state dict.
        missing, left_over: authors' keys that the file lacks, or has and no layer of the authors' network has.
        misshapen: "<key> <shape> where <shape> fits".
        unused: authors' keys dropped knowingly.
    """

    options: dict
    keys: dict[str, str]
    missing: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)
    misshapen: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)

    def check(self, state: State, shapes: Mapping[str, torch.Size]) -> None:
        """Note what of ``state`` does not fit; ``shapes`` has our keys."""
        scale = self.options.get("scale") if self.options["type"] == "GPEMSR" else None
        self.missing = [key for key in self.keys if key not in state]
        for key, value in state.items():
            if key in self.keys:
                fits = shapes[self.keys[key]]
                if value.shape != fits:
                    self.misshapen.append(f"{key} {tuple(value.shape)} where {tuple(fits)} fits")
            elif scale and names.is_unused(key, scale):
                self.unused.append(key)
            else:
                self.left_over.append(key)

    @property
    def problems(self) -> int:
        """Number of keys that do not fit."""
        return len(self.missing) + len(self.left_over) + len(self.misshapen)

    def convert(self, state: State) -> State:
        """The entries of ``state`` under our keys."""
        return {ours: state[theirs] for theirs, ours in self.keys.items()}

    @property
    def parts(self) -> dict[str, list[str]]:
        """What does not fit, by how."""
        return {"missing": self.missing, "left over": self.left_over, "of another shape": self.misshapen}

    def describe(self) -> str:
        """Name every key that does not fit."""
        return "; ".join(f"{len(keys)} {what}: {', '.join(keys)}" for what, keys in self.parts.items() if keys)

    def summarise(self) -> str:
        """Name one key of each kind that does not fit."""
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


def tell_direct(what: str, option: str) -> str:
    """How a file of :func:`used_directly` is used."""
    return f"{what}, used as it is: give its path as {option} in network_g"


def describe(options: Mapping) -> str:
    """Such as "stage III network x8"."""
    scale = f" x{options['scale']}" if "scale" in options else ""
    return AUTHORS[options["type"]][0] + scale


def from_authors(state_dict: Mapping) -> tuple[dict, State]:
    """The authors' weights as ours.

    Args:
        state_dict: with the authors' key names; bare, in ``params`` or ``params_ema``, or with ``module.``.

    Returns:
        The ``network_g`` options, complete and with ``type``, and the state dict that the network built of them
        loads strictly. Tensors are shared, not copied.

    Raises:
        InputError: it is none of the authors' networks, or names every key that does not fit.
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
        raise InputError(f"type={network_options.get('type')}: one of {', '.join(AUTHORS)} fits")
    try:
        options = complete(network_options)
        shapes = _shapes(options)
    except (TypeError, ValueError) as error:
        raise InputError(f"network options: {error}") from None
    _refuse_ours_only(options)
    state = unwrap(our_state_dict)
    comparison = Comparison(options, {key: key for key in shapes})
    comparison.check(state, shapes)
    if comparison.problems:
        raise InputError(f"no state dict of this {options['type']}: {comparison.describe()}")
    table = names.authors_names(options)
    return {names.rename(key, table): state[key] for key in shapes}


def compare(state: State) -> Comparison:
    """Recognise an authors' state dict (bare) and fit a network of ours to it.

    Raises:
        InputError: it is none of the authors' networks, or names every key that does not fit.
    """
    network = recognise(state)
    direct = used_directly(state)
    if network is None and direct:
        raise InputError(tell_direct(*direct))
    if network is None:
        raise InputError(f"none of the authors' networks: its keys are such as {', '.join(list(state)[:3])}")
    best: Comparison | None = None
    for options in _candidates(network, state):
        table = names.authors_names(options)
        shapes = _shapes(options)
        comparison = Comparison(options, {names.rename(key, table): key for key in shapes})
        comparison.check(state, shapes)
        if not comparison.problems:
            return comparison
        if best is None or comparison.problems <= best.problems:
            best = comparison
    assert best is not None  # the paper's widths always make a network
    raise InputError(f"nearly the authors' {describe(best.options)}: {best.describe()}")


def load_network_state(path: str, param_key: str | None = "params") -> State:
    """State dict of ours from a checkpoint file: ours as it is, the authors' converted.

    Args:
        path: file of ours or of the authors'.
        param_key: the state dict in it to take; ``params`` or ``params_ema`` is taken where it is absent.

    Raises:
        InputError: the file cannot be read, or is an authors' file whose keys do not fit.
    """
    state = load_authors_file(path, param_key)
    if recognise(state) in (None, "PatchDiscriminator"):
        return state
    try:
        return from_authors(state)[1]
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def complete(options: Mapping) -> dict:
    """Network options with every one given, nested ones too; VGG19 and SPyNet come with the state dict.

    Raises:
        TypeError: an option that the network does not have.
        ValueError: an option that does not fit.
    """
    network = _network(options["type"])
    given = {key: value for key, value in options.items() if key != "type"}
    network.check_options(**given)
    parameters = inspect.signature(network).parameters.values()
    filled: dict[str, Any] = {parameter.name: parameter.default for parameter in parameters} | given
    for name, value in filled.items():
        if name in ("vgg_weights", "flow_weights"):
            filled[name] = None
        elif isinstance(value, list):
            filled[name] = list(value)
    if options["type"] in NESTED:
        name, inner = NESTED[options["type"]]
        filled[name] = complete({"type": inner, **(filled[name] or {})})
        for key in ("type", "scale"):  # the scale is that of the network around it
            filled[name].pop(key, None)
    if options["type"] == "GPEMSR":
        filled["prior"]["vqgan"].pop("with_encoder")  # as `perceptual` needs it
    return {"type": options["type"], **filled}


def _network(name: str) -> Any:
    importlib.import_module("gpemsr.archs")  # registers them
    from basicsr.utils.registry import ARCH_REGISTRY

    return ARCH_REGISTRY.get(name)


def check_state(path: str, options: Mapping, param_key: str | None = "params", prefix: str = "") -> None:
    """Check that a checkpoint's state dict fits a network, or the part of it below ``prefix``.

    Args:
        path: the checkpoint, ours or the authors'.
        options: of the network, with ``type``.
        param_key: as for :func:`load_network_state`.
        prefix: such as ``prior.``; an encoder that the part was made without may be in the file.

    Raises:
        InputError: the file cannot be read, or what of it does not fit.
    """
    downloads = {key: None for key in ("vgg_weights", "flow_weights", "spynet_path") if key in options}
    needed = {key: shape for key, shape in _shapes({**options, **downloads}).items() if key.startswith(prefix)}
    shapes = {key.removeprefix(prefix): shape for key, shape in needed.items()}
    state = load_network_state(path, param_key)
    if not any(key.startswith("vqgan.encoder.") for key in shapes):
        state = {key: value for key, value in state.items() if not (prefix and key.startswith("vqgan.encoder."))}
    comparison = Comparison({"type": ""}, {key: key for key in shapes})
    comparison.check(state, shapes)
    if comparison.problems:
        where = f", at {prefix.rstrip('.')}" if prefix else ""
        raise InputError(f"no weights of this {options['type']}{where}: {comparison.summarise()}")


def weightless(options: Mapping) -> torch.nn.Module:
    """The network of ``options`` (with ``type``) on the meta device, or real where its constructor reads values."""
    arguments = {key: value for key, value in options.items() if key != "type"}
    try:
        with torch.device("meta"):
            return _network(options["type"])(**arguments)
    except RuntimeError:
        return _network(options["type"])(**arguments)


def _shapes(options: Mapping) -> dict[str, torch.Size]:
    """Keys and shapes of our network's state dict, without making its weights."""
    return {key: value.shape for key, value in weightless(options).state_dict().items()}


def _candidates(network: str, state: State) -> Iterator[dict]:
    """Complete options that the file may have, the likeliest first: with the widths of its shapes, then the paper's."""
    scales: tuple[int | None, ...] = (None,)
    if network in NESTED:
        scales = (8, 16) if any(re.search(r"indexer\..*\.downblock\.", key) for key in state) else (16, 8)
    for infer in (True, False):
        for scale in scales:
            options: dict[str, Any] = {"type": network} if scale is None else {"type": network, "scale": scale}
            try:
                yield complete({**options, **names.options_of(network, state)} if infer else options)
            except ValueError:  # the shapes make no network: compared with the paper's, they tell which are wrong
                continue


def _refuse_ours_only(options: Mapping, place: str = "") -> None:
    """Raise InputError if the network computes what the authors' code cannot."""
    for key, fits in FIXED[options["type"]].items():
        if options[key] != fits:
            raise InputError(f"{place}{key}={options[key]}: the authors' code has {fits} only")
    if options.get("hr_feat") not in (None, options.get("num_feat")):
        raise InputError(f"{place}hr_feat={options['hr_feat']}: the authors' code has num_feat only")
    if options["type"] in NESTED:
        name, inner = NESTED[options["type"]]
        _refuse_ours_only(options[name] | {"type": inner}, f"{place}{name}.")
