"""Small LR/HR stores for the tests of the data sets."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from gpemsr.data.degradations import degrade
from gpemsr.data.em_lmdb import LmdbWriter


def write_store(
    root: Path, backend: str, volumes: dict[str, dict[int, np.ndarray]], tile: int, degradation: dict | None = None
) -> None:
    """Write {volume: {section number: pixels}} as folders of PNG files or as an LMDB of tiles."""
    if backend == "disk":
        for name, sections in volumes.items():
            (root / name).mkdir(parents=True)
            for number, pixels in sections.items():
                cv2.imwrite(str(root / name / f"{number}.png"), pixels)
        return
    with LmdbWriter(root, tile, {"degradation": degradation}) as writer:
        for name, sections in volumes.items():
            for number, pixels in sections.items():
                writer.put(name, number, pixels)
            writer.finish_volume(name, pixels, {"voxel_size": None, "sections": sorted(sections)})
        writer.close()
        writer.publish(overwrite=False)


def textured_section(seed: int, shape: tuple[int, int]) -> np.ndarray:
    """Blobs of some LR pixels' size, in [0, 1], like no turned or shifted copy of themselves."""
    noise = np.random.default_rng(seed).random(shape, np.float32)
    blobs = cv2.GaussianBlur(noise, (0, 0), 5)
    return (blobs - blobs.min()) / (blobs.max() - blobs.min())


@pytest.fixture
def make_stores(tmp_path):
    """Return a function that writes an HR and an LR store and gives the option keys that name them."""

    def make(
        numbers: dict[str, list[int]] | None = None,
        shape: tuple[int, int] = (192, 256),
        dtype: str = "uint8",
        scale: int = 8,
        backend: str = "disk",
    ) -> dict:
        levels = np.iinfo(dtype).max
        hr, lr = {}, {}
        for name, sections in (numbers or {"vol": [0, 1, 2, 3]}).items():
            hr[name], lr[name] = {}, {}
            for number in sections:
                pixels = textured_section(number, shape)
                hr[name][number] = np.round(pixels * levels).astype(dtype)
                lr[name][number] = np.round(degrade(pixels, scale, "bicubic") * levels).astype(dtype)
        write_store(tmp_path / "hr", backend, hr, tile=64)
        write_store(tmp_path / "lr", backend, lr, tile=64 // scale, degradation={"kind": "bicubic", "seed": 0})
        return {
            "name": "test",
            "scale": scale,
            "dataroot_gt": str(tmp_path / "hr"),
            "dataroot_lq": str(tmp_path / "lr"),
            "io_backend": {"type": backend},
        }

    return make
