"""Published weights of frozen parts: a file of the user's, or downloaded once into torch's cache."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torchvision.models import VGG19_Weights

from gpemsr.data import download
from gpemsr.errors import InputError
from gpemsr.files import Busy

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
        ValueError: "<option>=download: ..." if it cannot be had.
    """
    name = published.url.rpartition("/")[2]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    is_waiting = False
    while not path.is_file():
        try:
            download.fetch(published.url, path, name.rpartition("-")[2].partition(".")[0])
        except Busy:  # another process, such as one of the same training
            if not is_waiting:
                print(f"{path}: another process is fetching it; waiting for it to end", file=sys.stderr, flush=True)
            is_waiting = True
            time.sleep(1)
        except InputError as error:
            raise ValueError(
                f"{published.option}={DOWNLOAD}: {published.url} cannot be downloaded ({error}); "
                f"expected {published.instead}"
            ) from None
    return path


def load_weights(weights: str, published: PublishedWeights) -> dict:
    """What a weights file holds; ``weights`` is its path or ``"download"``."""
    path = fetch(published) if weights == DOWNLOAD else Path(weights).expanduser()
    return torch.load(path, map_location="cpu", weights_only=True)
