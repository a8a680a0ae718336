"""Super-resolving the sections of a test set one after the other, with any of the networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset

from gpemsr.archs.gpemsr_arch import GPEMSR
from gpemsr.benchmark.options import IMAGE_ORACLES, Method
from gpemsr.benchmark.oracles import use_true_codes
from gpemsr.checkpoints.loading import check_state, load_network_state
from gpemsr.errors import InputError
from gpemsr.models.stage_base import lay_out
from gpemsr.options.place import PATH_KEY, Place, check_call, check_registered, check_section
from gpemsr.options.read import read_options
from gpemsr.volume.section_cache import SectionCache

Resolve = Callable[[torch.Tensor], torch.Tensor]
FRAMES = 5


def load_network(file: str, weights: str | None, device: torch.device | str) -> nn.Module:
    """The network of an option file in eval mode, with its weights (averaged ones where the checkpoint has them).

    Raises:
        InputError: the file, an option or the checkpoint is not valid, or a network that learns has no checkpoint.
    """
    from basicsr.archs import build_network
    from basicsr.utils.registry import ARCH_REGISTRY

    section, place = network_section(file), Place(file, "network_g")
    check_call(check_registered(ARCH_REGISTRY, section.get("type"), place / "type"), section, place)
    net = build_network(section)
    if weights is not None:
        check_state(weights, section, "params_ema")
        net.load_state_dict(load_network_state(weights, "params_ema"))
    elif any(True for _ in net.parameters()):
        raise InputError(f"weights=null: expected the checkpoint of this {section['type']}")
    return net.to(device).eval()


def network_section(file: str) -> dict[str, Any]:
    """``network_g`` of an option file, without what would be downloaded: the checkpoint brings it."""
    section = check_section(read_options(file).get("network_g"), Place(file, "network_g"))
    return {key: None if PATH_KEY.search(key) else value for key, value in section.items()}


def window_length(file: str) -> int:
    """Sections of a window, by the option file's data sets."""
    datasets = read_options(file).get("datasets")
    sections = [s for s in datasets.values() if isinstance(s, Mapping)] if isinstance(datasets, Mapping) else []
    return next((s["num_frame"] for s in sections if isinstance(s.get("num_frame"), int)), FRAMES)


def make_resolver(net: nn.Module, method: Method, dataset: Dataset, device: torch.device | str) -> Resolve:
    """A function from a window (1, t, 1, h, w) to its HR centre section (1, 1, r*h, r*w), for windows in order.

    GPEMSR encodes each section once, recurrent networks with ``whole_stack`` see what the window has.

    Raises:
        InputError: an oracle of a network that is not GPEMSR's.
    """
    lay_out(net)
    if isinstance(net, GPEMSR):
        if method.oracle in ("true_codes", "true_reference"):
            use_true_codes(net, _pairs(dataset, device))
        cache = SectionCache(net)
        if method.oracle in IMAGE_ORACLES:
            return lambda lq: cache.encode(lq[:, lq.shape[1] // 2]).reference[0]
        return cache.reconstruct
    if method.oracle is not None:
        raise InputError(f"oracle={method.oracle}: only with network_g.type: GPEMSR")
    if getattr(getattr(net, "options", None), "whole_stack", False):
        raise InputError("network_g.whole_stack=true: expected false, sections are super-resolved window by window")
    return net


def _pairs(dataset: Any, device: torch.device | str) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for index in range(len(dataset)):
        item = dataset[index]
        yield item["lq"][len(item["lq"]) // 2][None].to(device), item["gt"][None].to(device)
