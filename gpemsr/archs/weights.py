"""Published weights of frozen parts: a file of the user's, or downloaded once into torch's cache."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import torch
from torchvision.models import VGG19_Weights

DOWNLOAD = "download"


@dataclass(frozen=True)
class PublishedWeights:
    """Where weights are published, and how the option that names them is called."""

    option: str
    url: str
    instead: str


VGG19 = PublishedWeights(
    "vgg_weights", VGG19_Weights.IMAGENET1K_V1.url, "the path of torchvision's VGG19, or perceptual: vqgan"
)
SPYNET = PublishedWeights(
    "flow_weights",
    "https://github.com/XPixelGroup/BasicSR/releases/download/v1.4.0/spynet_sintel_final-3d2a1287.pth",
    "the path of BasicSR's SPyNet, or flow: train",
)


def fetch(published: PublishedWeights) -> Path:
    """The file in torch's cache, downloaded (checked by the hash in its name) if it is not there yet.

    Raises:
        ValueError: "<option>=download: ..." if the site cannot be reached.
    """
    name = published.url.rsplit("/", 1)[1]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix = name.rsplit("-", 1)[1].split(".")[0]
        try:
            torch.hub.download_url_to_file(published.url, os.fspath(path), hash_prefix=prefix)
        except (URLError, OSError, RuntimeError) as error:
            raise ValueError(
                f"{published.option}={DOWNLOAD}: {published.url} cannot be downloaded ({error}); "
                f"expected {published.instead}"
            ) from None
    return path


def load_weights(weights: str, published: PublishedWeights) -> dict:
    """What a weights file holds; ``weights`` is its path or ``"download"``."""
    path = fetch(published) if weights == DOWNLOAD else Path(weights).expanduser()
    return torch.load(path, map_location="cpu", weights_only=True)
