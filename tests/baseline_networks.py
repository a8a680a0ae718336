"""The networks that GPEMSR is compared with: their names, small ones, and the option files of the demo."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from gpemsr.archs.adapted import SINGLE
from gpemsr.options.read import read_options, to_plain

OPTIONS = Path(__file__).resolve().parents[1] / "options"
TINY = {
    "SectionEDVR": {"num_feat": 8, "num_extract_block": 1, "num_reconstruct_block": 1},
    "SectionBasicVSR": {"num_feat": 8, "num_block": 1},
    "SectionIconVSR": {"num_feat": 8, "num_block": 1},
    "SectionBasicVSRPlusPlus": {"mid_channels": 8, "num_blocks": 1},
    "SectionTDAN": {"mid_channels": 8, "num_blocks_before_align": 1, "num_blocks_after_align": 1},
    "SectionEDSR": {"num_feat": 8, "num_block": 1},
    "SectionRCAN": {"num_feat": 16, "num_group": 1, "num_block": 1},
    "SectionSwinIR": {"embed_dim": 12, "depths": [2], "num_heads": [2], "mlp_ratio": 2.0},
    "SectionRRDBNet": {"num_feat": 8, "num_block": 1, "num_grow_ch": 8},
}
FROM_MMAGIC = ("SectionBasicVSRPlusPlus", "SectionTDAN")
RECURRENT = ("SectionBasicVSR", "SectionIconVSR", "SectionBasicVSRPlusPlus")
HAS_MMAGIC = find_spec("mmagic") is not None
needs_mmagic = pytest.mark.skipif(not HAS_MMAGIC, reason="the extra 'mmagic' is not installed")
NAMES = [pytest.param(name, marks=needs_mmagic if name in FROM_MMAGIC else ()) for name in TINY]
FILES = {
    "edvr": "SectionEDVR",
    "basicvsr": "SectionBasicVSR",
    "iconvsr": "SectionIconVSR",
    "basicvsr_plusplus": "SectionBasicVSRPlusPlus",
    "tdan": "SectionTDAN",
    "edsr": "SectionEDSR",
    "rcan": "SectionRCAN",
    "swinir": "SectionSwinIR",
    "rrdbnet": "SectionRRDBNet",
}
EACH_FILE = [
    pytest.param(file, scale, marks=needs_mmagic if name in FROM_MMAGIC else (), id=f"{file}_x{scale}")
    for scale in (8, 16)
    for file, name in FILES.items()
]


def demo_file(file: str, scale: int) -> dict:
    """Options of ``options/demo/baselines``."""
    return to_plain(read_options(OPTIONS / "demo" / "baselines" / f"{file}_x{scale}.yml"))


@torch.no_grad()
def assert_same_result(ours: torch.nn.Module, theirs: torch.nn.Module, size: int) -> None:
    """An adapted network at x4 and the toolbox's, with the same weights, on random sections of three channels."""
    ours.load_state_dict(theirs.state_dict(), strict=True)
    baseline = ours.baseline
    single = baseline.takes == SINGLE
    sections = 1 if single else max(2, baseline.window(ours.options)[0])
    lq = torch.rand(1, sections, 3, size, size)
    expected = theirs(lq[:, 0] if single else lq)
    expected = expected[0] if isinstance(expected, tuple) else expected
    torch.testing.assert_close(ours(lq), expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


@torch.no_grad()
def randomise(net: torch.nn.Module) -> torch.nn.Module:
    """Random weights in every layer, also where a net starts from zero; in eval mode."""
    torch.manual_seed(0)
    for parameter in net.parameters():
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 10
        torch.nn.init.normal_(parameter, std=fan_in**-0.5)
    return net.eval()
