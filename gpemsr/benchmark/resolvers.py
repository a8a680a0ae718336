"""The networks of the benchmark: loaded from option files, and as the loop along a stack takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from gpemsr.archs.gpemsr_arch import GPEMSR, SectionFeatures
from gpemsr.benchmark.options import IMAGE_ORACLES, Method
from gpemsr.benchmark.oracles import use_true_codes
from gpemsr.checkpoints.loading import check_state, load_network_state
from gpemsr.data.section_window_test_dataset import SectionWindowTestDataset
from gpemsr.errors import InputError
from gpemsr.models.stage_base import lay_out
from gpemsr.options.place import PATH_KEY, Place, check_call, check_registered, check_section
from gpemsr.options.read import read_options
from gpemsr.volume.section_loop import SectionNetwork, section_network

FRAMES = 5


def load_network(file: str, weights: str | None, device: torch.device | str) -> nn.Module:
    """The network of an option file in eval mode, with its weights (averaged ones where the checkpoint has them).

    Raises:
        InputError: the file, an option or the checkpoint is wrong, or there is none for a network that learns.
    """
    from basicsr.archs import build_network
    from basicsr.utils.registry import ARCH_REGISTRY

    section, place = network_options(file), Place(file, "network_g")
    check_call(check_registered(ARCH_REGISTRY, section.get("type"), place / "type"), section, place)
    net = build_network(section)
    if weights is not None:
        check_state(weights, section, "params_ema")
        net.load_state_dict(load_network_state(weights, "params_ema"))
    elif any(True for _ in net.parameters()):
        raise InputError(f"weights=null: expected the checkpoint of this {section['type']}")
    return net.to(device).eval()


def network_options(file: str) -> dict[str, Any]:
    """``network_g`` of an option file, without what would be downloaded: the checkpoint brings it."""
    section = check_section(read_options(file).get("network_g"), Place(file, "network_g"))
    return {key: None if PATH_KEY.search(key) else value for key, value in section.items()}


def window_length(file: str) -> int:
    """Sections of a window, by the option file's data sets."""
    datasets = read_options(file).get("datasets")
    sections = [s for s in datasets.values() if isinstance(s, Mapping)] if isinstance(datasets, Mapping) else []
    return next((s["num_frame"] for s in sections if isinstance(s.get("num_frame"), int)), FRAMES)


def row_network(
    net: nn.Module, method: Method, dataset: SectionWindowTestDataset, device: torch.device | str
) -> SectionNetwork:
    """A row's network for the loop along a stack, with what its oracle knows.

    Args:
        net: of :func:`load_network`; an oracle's true codes replace its prior.
        method: the row.
        dataset: the test set.
        device: where ``net`` is.

    Raises:
        InputError: an oracle of a network that is not GPEMSR's, or a network that takes whole stacks only.
    """
    lay_out(net)
    if method.oracle is not None:
        if not isinstance(net, GPEMSR):
            raise InputError(f"oracle={method.oracle}: only with network_g.type: GPEMSR")
        if method.oracle in ("true_codes", "true_reference"):
            use_true_codes(net, _pairs(dataset, device))
        return PriorImage(net) if method.oracle in IMAGE_ORACLES else net
    if getattr(getattr(net, "options", None), "whole_stack", False):
        raise InputError("network_g.whole_stack=true: false is expected, sections are super-resolved in windows")
    return section_network(net, window_length(method.options))


class PriorImage:
    """GPEMSR's prior alone: the result is the reference image of the centre section."""

    def __init__(self, net: GPEMSR) -> None:
        self.num_frame = net.num_frame
        self.encode_sections = net.encode_sections

    def reconstruct(self, window: SectionFeatures) -> torch.Tensor:
        """The centre section's reference image, (b, 1, r*h, r*w)."""
        return window.reference[:, self.num_frame // 2]


def _pairs(
    dataset: SectionWindowTestDataset, device: torch.device | str
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for stack in dataset.stacks.values():
        for index in range(len(stack)):
            gt = stack.gt(index)
            assert gt is not None
            yield stack[index][None].to(device), gt[None].to(device)
