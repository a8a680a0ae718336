"""The network that super-resolves a volume: from a checkpoint that names it or an option file, and how it is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from gpemsr.archs.adapted import SINGLE, Adapted
from gpemsr.archs.baselines_arch import Bicubic
from gpemsr.archs.blocks import lay_out
from gpemsr.archs.gpemsr_arch import GPEMSR, SectionFeatures
from gpemsr.archs.precision import Precision, in_precision
from gpemsr.checkpoints.authors import compare, recognise
from gpemsr.checkpoints.files import load_authors_file, network_options, read_checkpoint
from gpemsr.checkpoints.loading import check_state
from gpemsr.errors import InputError
from gpemsr.options.place import Place, check_component, check_section, without_files
from gpemsr.options.read import read_options
from gpemsr.volume.section_loop import section_network

FRAMES = 5


def network_section(file: str | None, weights: str | None) -> dict[str, Any]:
    """``network_g`` of an option file or, without one, of what a checkpoint says of itself.

    What would be downloaded is left out: the checkpoint brings it.

    Raises:
        InputError: neither says which network it is.
    """
    if file is not None:
        found = check_section(read_options(file).get("network_g"), Place(file, "network_g"))
    elif weights is None:
        raise InputError("no network: expected a checkpoint, or an option file with network_g that learns nothing")
    else:
        found = _saved_with(weights)
    return without_files(found)


def _saved_with(weights: str) -> Mapping[str, Any]:
    """Options of the network that a checkpoint of ours or of the GPEMSR authors is of."""
    loaded = read_checkpoint(weights)
    options = network_options(loaded)
    if options is not None:
        return options
    state = load_authors_file(weights, "params_ema")
    if recognise(state) is None:
        expected = "the option file of its training is expected (-opt)"
        raise InputError(f"{weights}: does not say which network it is for; {expected}")
    return compare(state).options


def load_network(file: str | None, weights: str | None, device: torch.device | str) -> nn.Module:
    """The network of :func:`network_section` in eval mode, with its weights (averaged ones where there are some).

    Raises:
        InputError: the file, an option or the checkpoint is wrong, or there is none for a network that learns.
    """
    return _load(network_section(file, weights), file, weights, device)


def _load(section: dict[str, Any], file: str | None, weights: str | None, device: torch.device | str) -> nn.Module:
    from basicsr.archs import build_network
    from basicsr.utils.registry import ARCH_REGISTRY

    check_component(ARCH_REGISTRY, section, Place(str(file or weights), "network_g"))
    net = build_network(dict(section))
    if weights is not None:
        try:
            state = check_state(weights, section, "params_ema")
        except InputError as error:
            raise InputError(f"{weights}: {str(error).removeprefix(f'{weights}: ')}") from None
        net.load_state_dict(state)
    elif any(True for _ in net.parameters()):
        raise InputError(f"weights=null: expected the checkpoint of this {section['type']}")
    return net.to(device).eval()


def window_length(file: str | None) -> int:
    """Sections of a window, by the option file's data sets."""
    datasets = read_options(file).get("datasets") if file is not None else None
    sections = [s for s in datasets.values() if isinstance(s, Mapping)] if isinstance(datasets, Mapping) else []
    return next((s["num_frame"] for s in sections if isinstance(s.get("num_frame"), int)), FRAMES)


def usable_device(name: str | None) -> torch.device:
    """The device of that name; of None, a GPU if there is one. Raises :class:`InputError` if it cannot be used."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.zeros(1, device=name).cpu()
    except (RuntimeError, AssertionError):
        raise InputError(f"--device {name}: no such device here; expected such as cpu, cuda or cuda:0") from None
    return torch.device(name)


class VolumeNetwork:
    """A network as the loop along a stack takes it, in one precision; keeps of a section no more than it needs.

    Args:
        file: option file with ``network_g``; None where the checkpoint names its network.
        weights: the checkpoint; None for a network that learns nothing.
        precision: ``fp32`` or ``bf16``.

    Attributes:
        section: its options, see :func:`network_section`.
        scale: HR over LR size in x and y.
        num_frame: sections of a window.
        has_prior: whether it has a prior that says how sure it is.

    Raises:
        InputError: as :func:`load_network`, or it is no network that super-resolves sections.
    """

    def __init__(
        self, file: str | None, weights: str | None, device: torch.device | str = "cpu", precision: Precision = "fp32"
    ) -> None:
        self.section = network_section(file, weights)
        net = lay_out(_load(self.section, file, weights, device))
        self.device = torch.device(device)
        if precision == "bf16" and self.device.type == "cuda" and not torch.cuda.is_bf16_supported():
            raise InputError("precision=bf16: this GPU has no bfloat16; expected fp32")
        if not isinstance(net, GPEMSR | Adapted | Bicubic):
            name = type(net).__name__
            raise InputError(f"{weights or file}: {name}; expected the network of stage III or one it is compared with")
        options: Any = getattr(net, "options", net)
        if getattr(options, "whole_stack", False):
            raise InputError(f"{file or weights}: network_g.whole_stack=true: false is expected")
        self.scale: int = options.scale
        self.num_frame = _frames(net, file)
        self.has_prior = isinstance(net, GPEMSR) and getattr(net, "without", None) != "prior"
        self._network = in_precision(section_network(net, self.num_frame), precision, device)

    @torch.no_grad()
    def encode_sections(self, lq: torch.Tensor) -> Any:
        """The network's, of sections (b, t, 1, h, w); the reference images, which nobody reads later, are dropped."""
        features = self._network.encode_sections(lq)
        if isinstance(features, SectionFeatures):
            b, t = lq.shape[:2]
            return replace(features, reference=features.reference.new_empty(b, t, 0))
        return features

    @torch.no_grad()
    def reconstruct(self, window: Any) -> torch.Tensor:
        """The network's, of a window of encoded sections: (b, 1, r*h, r*w), float32."""
        return self._network.reconstruct(window)


def _frames(net: nn.Module, file: str | None) -> int:
    if isinstance(net, GPEMSR):
        return net.num_frame
    if isinstance(net, Bicubic) or net.baseline.takes == SINGLE:  # type: ignore[union-attr]
        return 1
    least, most = net.baseline.window(net.options)  # type: ignore[union-attr, operator]
    return least if least == most else window_length(file)
