"""A small LR stack, a network that learns nothing and one that does, and jobs with them."""

from collections.abc import Callable

import numpy as np
import pytest
import tifffile
import torch
from scipy.ndimage import gaussian_filter
from tiny_stages import NETWORKS, tiny_network

from gpemsr.volume.plan import Job

VOXEL_SIZE = (40.0, 80.0, 80.0)


@pytest.fixture
def lr() -> np.ndarray:
    noise = gaussian_filter(np.random.default_rng(0).standard_normal((5, 30, 42)), (0, 1, 1))
    return np.uint8(np.clip(128 + 60 * noise / noise.std(), 1, 254))


@pytest.fixture
def bicubic(tmp_path) -> str:
    file = tmp_path / "bicubic.yml"
    file.write_text("network_g: {type: Bicubic, scale: 8}\n")
    return str(file)


@pytest.fixture
def weights(tmp_path) -> str:
    name, options = NETWORKS[3]
    metadata = {"key_names": "gpemsr", "network_g": {"type": name, "scale": 8, **options}}
    torch.save({"params": tiny_network(3).state_dict(), "metadata": metadata}, tmp_path / "net.pth")
    return str(tmp_path / "net.pth")


@pytest.fixture
def job(tmp_path, lr, bicubic) -> Callable[..., Job]:
    """A job on ``lr`` with bicubic interpolation, or with what is given."""

    def make(stack: np.ndarray = lr, **changes) -> Job:
        tifffile.imwrite(tmp_path / "lr.tif", stack, photometric="minisblack")
        settings = {"source": "lr.tif", "output": "sr.zarr", "voxel_size": VOXEL_SIZE, "device": "cpu"}
        settings |= {} if "weights" in changes else {"options": bicubic}
        settings |= changes
        for name in ("source", "output", "mask"):
            if settings.get(name):
                settings[name] = str(tmp_path / settings[name])
        return Job(**settings)

    return make


@pytest.fixture
def tiled(job) -> Callable[..., Job]:
    """As ``job``, in tiles."""
    return lambda **changes: job(**{"tile": 28, "overlap": 12, "halo": 4, "depth": 2} | changes)
