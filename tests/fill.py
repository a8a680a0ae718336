"""The reference fixtures: weights drawn by a rule, inputs, and what the authors' code makes of them.

``tests/fixtures`` (another folder of that layout by the variable GPEMSR_FIXTURES) holds one npz file per module with
its input and outputs, some of them subsampled (``_c8``: every 8th channel, ``_s4``: every 4th pixel), and
manifest.json: the salt, and for every entry of the authors' state dicts its shape and the CRC-32 of its bytes.
"""

import json
import math
import os
import re
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import gpemsr
from gpemsr.checkpoints import authors_names as names
from gpemsr.checkpoints.authors import from_authors

FOLDER = Path(os.environ.get("GPEMSR_FIXTURES", Path(__file__).parent / "fixtures"))
MANIFEST = json.loads((FOLDER / "manifest.json").read_text())
TOLERANCE = 1e-4  # of the largest magnitude
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]  # for tests that run on each

SPYNET_BUFFERS = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
FACTORS = {
    r"(feature_extraction|recon_trunk|fusion_fea_block\d)\.\d+\.conv2\.weight$": 0.4,
    r"(indexer|encoder)\.(.+\.)?block\.4\.weight$": 2.0,
    r"decoder\.output_layer\.weight$": 0.15,
    r"refmaskconv1\.weight$": 6.0,
    r"refmaskconv3\.weight$": 0.5,
    r"reffusionconv\d\.weight$": 0.5,
    r"basic_module\.\d\.basic_module\.\d\.weight$": 0.65,
    r"flowdsconv0_\d\.weight$": 0.3,
    r"conv_offset\.weight$": 0.35,
    r"temporal_attn\d\.weight$": 0.3,
    r"conv_last\.weight$": 0.1,
}
SHIFTS = {r"(indexer|encoder)\.(.+\.)?block\.[14]\.bias$": -1.0, r"decoder\.output_layer\.bias$": 0.5}


@cache
def fill(name: str, shape: tuple[int, ...], salt: str = MANIFEST["salt"]) -> torch.Tensor:
    """The values of the entry ``name`` of an authors' state dict: they depend on salt, name and shape alone."""
    spynet_buffer = re.search(r"spynet\.(mean|std)$", name)
    if spynet_buffer:
        return torch.tensor(SPYNET_BUFFERS[spynet_buffer[1]]).view(shape)
    value = np.random.RandomState(zlib.crc32((salt + name).encode())).standard_normal(shape)
    if name.endswith("bias"):
        value *= 0.05
    elif len(shape) == 1:
        value = 1 + 0.05 * value
    elif not name.endswith("codebook.embedding.weight"):
        value *= math.sqrt(2 / math.prod(shape[1:]))
    for pattern, factor in FACTORS.items():
        if re.search(pattern, name):
            value *= factor
    for pattern, shift in SHIFTS.items():
        if re.search(pattern, name):
            value += shift
    return torch.from_numpy(value.astype(np.float32))


def authors_entries(module: str, unused: bool = True) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the authors' state dict of a ``module`` of the manifest, in its order.

    ``unused=False`` leaves out the layers that their forward pass never uses.
    """
    scale = int(module.rpartition("_x")[2]) if module.startswith("gpemsr") else None
    return {
        name: tuple(shape)
        for name, (shape, _) in MANIFEST[module]["keys"].items()
        if unused or scale is None or not names.is_unused(name, scale)
    }


def blank_state(module: str) -> dict[str, torch.Tensor]:
    """The authors' whole state dict with the right shapes and no values."""
    return {name: torch.empty(shape, device="meta") for name, shape in authors_entries(module).items()}


def filled_network(module: str) -> torch.nn.Module:
    """Our network for a ``module`` of the manifest, built and loaded as ``from_authors`` says, in eval mode."""
    state = {name: fill(name, shape) for name, shape in authors_entries(module, unused=False).items()}
    options, ours = from_authors(state)
    gpemsr.register()
    from basicsr.archs import build_network

    with torch.device("meta"):
        net = build_network(options)
    net.load_state_dict(ours, assign=True)
    return net.eval().requires_grad_(False)


def load_outputs(name: str) -> dict[str, np.ndarray]:
    """Input and outputs of a fixture file."""
    with np.load(FOLDER / f"{name}.npz") as file:
        return dict(file)


def deviations(ours: dict[str, torch.Tensor], expected: dict[str, np.ndarray]) -> dict[str, float]:
    """How far each item of ours is from the fixture's.

    The largest difference over the fixture's largest magnitude; for indices 0 if all are equal, else infinity.
    """
    result = {}
    for name, value in ours.items():
        got, want = value.detach().cpu().numpy(), expected[name]
        assert got.shape == want.shape, f"{name}: {got.shape}, not {want.shape}"
        if want.dtype.kind == "i":
            result[name] = 0.0 if np.array_equal(got, want) else math.inf
        else:
            result[name] = float(np.abs(got - want).max() / np.abs(want).max())
    return result


def report(title: str, items: dict[str, float]) -> None:
    """Print the figures (shown by ``pytest -s``)."""
    print("".join([f"\n{title}", *(f"\n  {name:16} {value:.1e}" for name, value in items.items())]))
