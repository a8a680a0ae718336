"""Super-resolving the sections of a stack one after the other, each encoded once.

A network is known by two calls: ``encode_sections``, what one section says on its own, and ``reconstruct``, the centre
section of a window of encoded ones. :class:`WindowedNetwork` gives these calls to a network that has only a forward.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from gpemsr.data.section_sampling import window_indices


class SectionNetwork(Protocol):
    """What super-resolves a window of ``num_frame`` sections, in eval mode."""

    num_frame: int

    def encode_sections(self, lq: torch.Tensor) -> Any:
        """Features of sections (b, t, 1, h, w) in [0, 1]; their class joins several along t by ``cat``."""

    def reconstruct(self, window: Any) -> torch.Tensor:
        """Centre section of a window of encoded sections: (b, 1, r*h, r*w)."""


class Sections(Protocol):
    """LR sections of one stack in the order of z, each (1, h, w) in [0, 1]: a tensor (n, 1, h, w), or read lazily.

    Several stacks of one size go together as sections (b, 1, h, w).
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> torch.Tensor: ...


class SlidingWindow:
    """Encodes the sections of a window that were not in the window before.

    Args:
        network: in eval mode.

    Attributes:
        encoded: features of the sections of the last window, by key.
    """

    def __init__(self, network: SectionNetwork) -> None:
        self.network = network
        self.encoded: dict[Hashable, Any] = {}

    @torch.no_grad()
    def encode(self, keys: Sequence[Any], read: Callable[[Any], torch.Tensor]) -> Any:
        """Features (1, t, ...) of the t sections of a window.

        Args:
            keys: what names each section; equal keys are the same section.
            read: a key -> the section (1, h, w), or those of b stacks (b, 1, h, w), on the network's device.
        """
        before, self.encoded = self.encoded, {}
        for key in dict.fromkeys(keys):
            known = before.get(key)
            if known is None:
                lq = read(key)
                known = self.network.encode_sections(lq[:, None] if lq.dim() == 4 else lq[None, None])
            self.encoded[key] = known
        parts = [self.encoded[key] for key in keys]
        return type(parts[0]).cat(parts)


@torch.no_grad()
def encoded_windows(
    network: SectionNetwork, sections: Sections, wanted: range | None = None, device: torch.device | str | None = None
) -> Iterator[Any]:
    """The features of the window around each wanted section, the edge section repeated beyond the ends.

    Args:
        network: in eval mode.
        sections: one stack; a section is read when a window first holds it.
        wanted: positions of the centres, ascending; by default of all sections.
        device: where the network is; by default where the sections are.
    """
    window = SlidingWindow(network)
    for centre in range(len(sections)) if wanted is None else wanted:
        indices = window_indices(centre, len(sections), network.num_frame)
        yield window.encode(indices, lambda index: sections[index].to(device=device))


@torch.no_grad()
def super_resolve_sections(
    network: SectionNetwork, sections: Sections, wanted: range | None = None, device: torch.device | str | None = None
) -> Iterator[torch.Tensor]:
    """Each wanted section super-resolved, (1, 1, r*h, r*w), as the network's forward of its window; not clipped.

    Arguments as those of :func:`encoded_windows`.
    """
    for window in encoded_windows(network, sections, wanted, device):
        yield network.reconstruct(window)


def one_section(network: SectionNetwork, lq: torch.Tensor) -> torch.Tensor:
    """What a section costs along a stack: one section (1, 1, h, w) is encoded and one window reconstructed."""
    encoded = network.encode_sections(lq[None])
    return network.reconstruct(type(encoded).cat([encoded] * network.num_frame))


@dataclass(frozen=True)
class LRSections:
    """Sections (b, t, 1, h, w) as :class:`WindowedNetwork` encodes them: as they are."""

    lq: torch.Tensor

    @staticmethod
    def cat(parts: list[LRSections]) -> LRSections:
        """Sections of one size as one stack."""
        return LRSections(torch.cat([part.lq for part in parts], dim=1))


class WindowedNetwork:
    """A network that has only a forward, (b, t, 1, h, w) -> (b, 1, r*h, r*w), such as EDVR or SwinIR.

    Args:
        net: in eval mode.
    """

    def __init__(self, net: nn.Module, num_frame: int) -> None:
        self.net = net
        self.num_frame = num_frame

    def encode_sections(self, lq: torch.Tensor) -> LRSections:
        """(b, t, 1, h, w) as it is."""
        return LRSections(lq)

    def reconstruct(self, window: LRSections) -> torch.Tensor:
        """The network's forward."""
        return self.net(window.lq)


def section_network(net: nn.Module, num_frame: int) -> SectionNetwork:
    """``net`` itself if it has the two calls, else its adapter for windows of ``num_frame`` sections."""
    return net if hasattr(net, "encode_sections") else WindowedNetwork(net, num_frame)  # type: ignore[return-value]
