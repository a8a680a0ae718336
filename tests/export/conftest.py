"""A package of a tiny network with random weights, made once, by the command of docs/export.md."""

import contextlib
import io
import re
import shlex
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tifffile
import torch
from tiny_stages import NETWORKS, tiny_network

from gpemsr.cli.export import main

PAGE = Path(__file__).resolve().parents[2] / "docs" / "export.md"
FRAMES = {"num_frame": 5}  # as on the page


class Exported(NamedTuple):
    """A package, and what the command printed."""

    path: Path
    said: str


@pytest.fixture(scope="session")
def network() -> torch.nn.Module:
    """Near the bilinear image, so that grey values stay within their range."""
    net = tiny_network(3, **FRAMES)
    with torch.no_grad():
        for parameter in net.conv_last.parameters():
            parameter.mul_(0.002)
    return net


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory, network) -> Path:
    name, options = NETWORKS[3]
    path = tmp_path_factory.mktemp("weights") / "net.pth"
    metadata = {"key_names": "gpemsr", "network_g": {"type": name, "scale": 8, **options, **FRAMES}}
    torch.save({"params": network.state_dict(), "metadata": metadata}, path)
    path.with_suffix(".md").write_text(
        "# Ours\n\nMade of [noise](noise.tif), see [here](https://example.org).\n![x](a.png)\n"
    )
    return path


@pytest.fixture(scope="session")
def sample(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "lr.tif"
    tifffile.imwrite(path, np.random.default_rng(0).integers(0, 256, (5, 64, 64), np.uint8), photometric="minisblack")
    return path


@pytest.fixture(scope="session")
def blocks() -> dict[str, str]:
    """The page's code, by language."""
    return dict(re.findall(r"^```(bash|python)\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE))


@pytest.fixture(scope="session")
def exported(tmp_path_factory, tiny_weights, sample, blocks) -> Exported:
    pytest.importorskip("bioimageio.core", reason="the extra 'export' is not installed")
    folder = tmp_path_factory.mktemp("export")
    _, _, out = shlex.split(blocks["bash"])
    words = ["--author", "A. Name", "--licence", "MIT", "--sample", str(sample)]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()) as said:
        warnings.filterwarnings("error", message=".*torch.jit")  # users are not shown them
        assert main([str(tiny_weights), str(folder / out), *words]) == 0
    return Exported(folder / out, said.getvalue())
