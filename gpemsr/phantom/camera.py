"""The microscope of the phantom: brightness to noisy grey values."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from gpemsr.phantom.fields import SmoothNoise


class Camera:
    """Turns brightness into grey values: beam blur, contrast drift, uneven light, shot noise, resampling blur."""

    def __init__(self, seed: int, shape, voxel_size, drift: float, blur: float, dose: float):
        self._seed, self._dose = seed, dose
        self._blur = blur / voxel_size[1]
        rng = np.random.default_rng([seed, 10])
        steps = rng.standard_normal((shape[0], 2))
        for k in range(1, len(steps)):  # each section resembles the one before
            steps[k] = 0.6 * steps[k - 1] + 0.8 * steps[k]
        self._gain, self._offset = 1 + 0.05 * drift * steps[:, 0], 0.03 * drift * steps[:, 1]
        lateral = (shape[1] * voxel_size[1], shape[2] * voxel_size[2])
        self._light = SmoothNoise((seed, 11), lateral, 0.6 * max(lateral))
        self._places = tuple((np.arange(n) + 0.5) * s for n, s in zip(shape[1:], voxel_size[1:], strict=True))
        self._drift = drift

    def expose(self, k: int, image: np.ndarray) -> np.ndarray:
        """Section ``k``: brightness (y, x) in [0, 1] -> uint8."""
        rng = np.random.default_rng([self._seed, 12, k])
        image = ndimage.gaussian_filter(image, self._blur)
        light = 0.015 * self._drift * self._light(1e6 * k, *self._places)
        image = np.clip(0.52 + self._gain[k] * 1.08 * (image - 0.54) + self._offset[k] + light, 0.02, 1)
        if self._dose:
            noisy = rng.poisson(image * self._dose) / self._dose
            image = ndimage.gaussian_filter(noisy, 0.6)
        return np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)
