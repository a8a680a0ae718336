"""Which window, crop and augmentation a data set yields: plain geometry, no files."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import product
from types import ModuleType

import numpy as np
import torch
from torch.utils.data import get_worker_info


def image_name(volume: str, section: int) -> str:
    """File name of a section where a folder may take the sections of several volumes."""
    return f"{volume}_{section:08d}.png"


def window_indices(centre: int, count: int, num_frame: int) -> list[int]:
    """Positions of the ``num_frame`` sections around ``centre`` in a volume of ``count`` sections.

    Beyond the ends the edge section is repeated: centre 0 with ``num_frame`` 5 gives 0, 0, 0, 1, 2.
    """
    half = num_frame // 2
    return [min(max(i, 0), count - 1) for i in range(centre - half, centre + half + 1)]


class WorkerRandom:
    """Random numbers that differ from worker to worker and from epoch to epoch, and follow the global seed.

    Where items have their own seeds (:class:`~gpemsr.data.training_stream.SeededItems`) this is the module ``random``.
    Elsewhere BasicSR's ``worker_init_fn`` seeds ``random`` of a new worker with the same number in each epoch, which
    would repeat the crops of the first epoch forever. So a worker draws from its own generator, with
    the seed that the DataLoader draws from torch's generator at the start of an epoch. Outside a worker this
    is the module ``random``, which BasicSR seeds once per process.
    """

    def __init__(self) -> None:
        self._seed: int | None = None
        self._generator: random.Random | None = None

    def __call__(self) -> random.Random | ModuleType:
        """The generator to draw from, here and now."""
        worker = get_worker_info()
        if worker is None or hasattr(worker.dataset, "seeds_items"):
            return random
        if self._generator is None or self._seed != worker.seed:
            self._seed, self._generator = worker.seed, random.Random(worker.seed)
        return self._generator


def random_origin(rng: random.Random | ModuleType, shape: tuple[int, int], crop: tuple[int, int]) -> tuple[int, int]:
    """Upper left corner (y, x), uniform over all places where ``crop`` (h, w) lies inside ``shape`` (h, w)."""
    return rng.randint(0, shape[0] - crop[0]), rng.randint(0, shape[1] - crop[1])


@dataclass(frozen=True)
class Augmentation:
    """One of the eight symmetries of the square, applied alike to all sections of an item."""

    hflip: bool = False
    vflip: bool = False
    transpose: bool = False

    @classmethod
    def possible(cls, use_hflip: bool, use_rot: bool) -> list[Augmentation]:
        """All that :meth:`draw` can give."""
        hflips, others = (False, True)[: 1 + use_hflip], (False, True)[: 1 + use_rot]
        return [cls(*flags) for flags in product(hflips, others, others)]

    @classmethod
    def draw(cls, rng: random.Random | ModuleType, use_hflip: bool, use_rot: bool) -> Augmentation:
        """Draw as BasicSR does: a flip along x, and for rotations a flip along y and a transposition."""
        return cls(
            hflip=use_hflip and rng.random() < 0.5,
            vflip=use_rot and rng.random() < 0.5,
            transpose=use_rot and rng.random() < 0.5,
        )

    def __call__(self, sections: np.ndarray) -> np.ndarray:
        """Turn (..., h, w) in its last two axes; the axes before them, z among them, keep their order."""
        if self.hflip:
            sections = sections[..., ::-1]
        if self.vflip:
            sections = sections[..., ::-1, :]
        return sections.swapaxes(-1, -2) if self.transpose else sections

    def undo(self, sections: np.ndarray) -> np.ndarray:
        """Turn sections back that were turned."""
        return Augmentation(self.hflip, self.vflip)(sections.swapaxes(-1, -2) if self.transpose else sections)


def to_tensor(sections: np.ndarray) -> torch.Tensor:
    """Float32 (..., h, w) -> tensor (..., 1, h, w) with memory of its own."""
    return torch.from_numpy(np.array(sections[..., None, :, :], dtype=np.float32, order="C"))
