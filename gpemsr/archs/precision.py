"""Number formats that networks compute in: fp32, or bf16 where that leaves the result as good."""

from __future__ import annotations

from typing import Any, Literal

import torch

Precision = Literal["fp32", "bf16"]


def full_precision(device: torch.device) -> torch.autocast:
    """Context in which everything is computed in the format that it comes in, also within autocast."""
    return torch.autocast(device.type, enabled=False)


class InBFloat16:
    """A network's two calls in bf16: images in and out are float32, encoded sections take half the memory.

    What needs more digits stays in fp32: flow, sampling of deformable convolutions, probabilities, similarities.

    Args:
        network: a :class:`~gpemsr.volume.section_loop.SectionNetwork`, in eval mode.
    """

    def __init__(self, network: Any, device: torch.device | str) -> None:
        self.network = network
        self.num_frame: int = network.num_frame
        self.device_type = torch.device(device).type

    def encode_sections(self, lq: torch.Tensor) -> Any:
        """The network's, of sections (b, t, 1, h, w) in [0, 1]."""
        with torch.autocast(self.device_type, torch.bfloat16):
            return self.network.encode_sections(lq)

    def reconstruct(self, window: Any) -> torch.Tensor:
        """The network's: (b, 1, r*h, r*w), float32."""
        with torch.autocast(self.device_type, torch.bfloat16):
            return self.network.reconstruct(window).float()


def in_precision(network: Any, precision: Precision, device: torch.device | str) -> Any:
    """The network as it is, or its calls in bf16; arguments as those of :class:`InBFloat16`."""
    return InBFloat16(network, device) if precision == "bf16" else network
