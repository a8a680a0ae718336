"""The networks of the rows as the loop along a stack takes them, and what replaces parts of them in an oracle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import nn

from gpemsr.archs.blocks import lay_out, pad_to_multiple
from gpemsr.archs.gpemsr_arch import GPEMSR, MULTIPLE, SectionFeatures
from gpemsr.archs.indexer_arch import LatentIndexer, PriorOutput
from gpemsr.archs.precision import in_precision
from gpemsr.archs.vqgan_arch import VQGAN
from gpemsr.benchmark.options import Method
from gpemsr.data.section_window_test_dataset import SectionStack
from gpemsr.errors import InputError
from gpemsr.volume.network import window_length
from gpemsr.volume.section_loop import SectionNetwork, section_network

Pairs = Iterable[tuple[torch.Tensor, torch.Tensor]]  # LR section (1, 1, h, w), HR section (1, 1, r*h, r*w)


def row_network(
    net: nn.Module, method: Method, stacks: Iterable[SectionStack], device: torch.device | str
) -> SectionNetwork:
    """A row's network for the loop along a stack, with what its oracle knows.

    Args:
        net: of :func:`gpemsr.volume.network.load_network`; an oracle's true codes replace its prior.

    Raises:
        InputError: an oracle or bf16 of a network that is not GPEMSR's, or a network that takes whole stacks only.
    """
    lay_out(net)
    for key, value in (("oracle", method.oracle), ("precision", method.precision)):
        if value not in (None, "fp32") and not isinstance(net, GPEMSR):
            raise InputError(f"{key}={value}: only with network_g.type: GPEMSR")
    return in_precision(_section_network(net, method, stacks, device), method.precision, device)


def _section_network(
    net: nn.Module, method: Method, stacks: Iterable[SectionStack], device: torch.device | str
) -> SectionNetwork:
    """As :func:`row_network`, in fp32."""
    if method.oracle is None:
        if getattr(getattr(net, "options", None), "whole_stack", False):
            raise InputError("network_g.whole_stack=true: expected false, sections are super-resolved in windows")
        return section_network(net, window_length(method.options))
    assert isinstance(net, GPEMSR)
    if method.oracle in ("true_codes", "true_reference"):
        use_true_codes(net, _pairs(stacks, device))
    return net if method.oracle == "true_codes" else PriorImage(net)


def _pairs(stacks: Iterable[SectionStack], device: torch.device | str) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for stack in stacks:
        for index in range(len(stack)):
            gt = stack.gt(index)
            assert gt is not None
            yield stack[index][None].to(device), gt[None].to(device)


class PriorImage:
    """GPEMSR's prior alone: the result is the reference image of the centre section."""

    def __init__(self, net: GPEMSR) -> None:
        self.num_frame = net.num_frame
        self.encode_sections = net.encode_sections

    def reconstruct(self, window: SectionFeatures) -> torch.Tensor:
        """The centre section's reference image, (b, 1, r*h, r*w)."""
        return window.reference[:, self.num_frame // 2]


class TrueCodes(nn.Module):
    """Stands in for a network's prior: the codes of each section are those of its HR section, not predicted ones."""

    def __init__(self, indexer: LatentIndexer, pairs: Pairs) -> None:
        super().__init__()
        self.vqgan: VQGAN = indexer.vqgan
        self.codes = {
            _key(pad_to_multiple(lq, MULTIPLE)): indexer.targets(pad_to_multiple(gt, MULTIPLE * indexer.scale))
            for lq, gt in pairs
        }

    @torch.no_grad()
    def prior(self, lq: torch.Tensor) -> PriorOutput:
        """As :meth:`LatentIndexer.prior`; KeyError for a section (of (n, 1, h, w)) that is not among the pairs."""
        codes = torch.cat([self.codes[_key(section[None])] for section in lq])
        image, features = self.vqgan.decode(codes)
        sure = torch.ones_like(codes, dtype=image.dtype)
        return PriorOutput(image, features, codes, sure, 0 * sure)


def use_true_codes(net: GPEMSR, pairs: Pairs) -> None:
    """Give a network in eval mode the codes of the HR sections; ``pairs`` as for :class:`TrueCodes`.

    Raises:
        ValueError: the network has no encoder of stage I to make codes with.
    """
    if net.prior.vqgan.encoder is None:
        raise ValueError("network_g.perceptual: expected vqgan, true codes need the encoder of stage I")
    net.add_module("prior", TrueCodes(net.prior, pairs))


def _key(lq: torch.Tensor) -> tuple:
    return (lq.shape[-2:], lq.cpu().numpy().tobytes())
