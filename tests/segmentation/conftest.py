"""Volumes of a few neurons."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def touching() -> np.ndarray:
    """Three neurons that touch without boundary, one of them a single voxel wide, in four sections."""
    ids = np.ones((4, 24, 30), np.uint64)
    ids[:, :, 14:] = 2
    ids[:, 11, 3:27] = 2**60
    return ids


@pytest.fixture(scope="module")
def with_boundary() -> np.ndarray:
    """Nine neurons with two voxels of boundary between them; they shift from section to section."""
    ids = np.zeros((5, 48, 48), np.uint32)
    for z in range(5):
        for cell in range(9):
            y, x = 16 * (cell // 3), 16 * (cell % 3)
            ids[z, y + 1 : y + 15, x + 1 + z // 2 : x + 13 + z // 2] = cell + 1
    return ids
