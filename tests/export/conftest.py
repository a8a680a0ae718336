"""A package of a tiny network with random weights, made once."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from tiny_stages import NETWORKS, tiny_network

from gpemsr.export.package import Export, Exported, export_package


@pytest.fixture(scope="session")
def network() -> torch.nn.Module:
    """Near the bilinear image, so that grey values stay within their range."""
    net = tiny_network(3)
    with torch.no_grad():
        for parameter in net.conv_last.parameters():
            parameter.mul_(0.002)
    return net


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory, network) -> Path:
    name, options = NETWORKS[3]
    path = tmp_path_factory.mktemp("weights") / "net.pth"
    metadata = {"key_names": "gpemsr", "network_g": {"type": name, "scale": 8, **options}}
    torch.save({"params": network.state_dict(), "metadata": metadata}, path)
    path.with_suffix(".md").write_text(
        "# Ours\n\nMade of [noise](noise.tif), see [here](https://example.org).\n![x](a.png)\n"
    )
    return path


@pytest.fixture(scope="session")
def export(tmp_path_factory, tiny_weights) -> Export:
    folder = tmp_path_factory.mktemp("export")
    lr = np.random.default_rng(0).integers(0, 256, (3, 64, 64), np.uint8)
    tifffile.imwrite(folder / "lr.tif", lr, photometric="minisblack")
    words = {"authors": ("A. Name",), "licence": "MIT"}
    return Export(str(tiny_weights), folder / "net.zip", **words, sample=str(folder / "lr.tif"))


@pytest.fixture(scope="session")
def exported(export) -> Exported:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*torch.jit")  # users are not shown them
        return export_package(export)
