"""What checkpoints are compared with: the complete options and the state-dict shapes of our networks."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

import torch

# network -> the option that holds the options of a network inside it, and what that is
NESTED = {"GPEMSR": ("prior", "LatentIndexer"), "LatentIndexer": ("vqgan", "VQGAN")}


def complete(options: Mapping) -> dict:
    """Network options with every one given, nested ones too; VGG19 and SPyNet come with the state dict.

    Raises:
        TypeError: an option that the network does not have.
        ValueError: an invalid option.
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


def weightless(options: Mapping) -> torch.nn.Module:
    """The network of ``options`` (with ``type``) on the meta device, or real where its constructor reads values."""
    arguments = {key: value for key, value in options.items() if key != "type"}
    try:
        with torch.device("meta"):
            return _network(options["type"])(**arguments)
    except RuntimeError:
        return _network(options["type"])(**arguments)


def shapes_of(options: Mapping) -> dict[str, torch.Size]:
    """Keys and shapes of our network's state dict, without making its weights."""
    return {key: value.shape for key, value in weightless(options).state_dict().items()}
