"""What a package says of its network."""

from __future__ import annotations

from dataclasses import dataclass

HALO = 16  # LR pixels of a tile's border that are not used
PAPER = (
    "Shou et al.: Learning Large-Factor EM Image Super-Resolution with Generative Priors. CVPR 2024",
    "https://openaccess.thecvf.com/CVPR2024",
)
BASICSR = (
    "Wang et al.: BasicSR, open source image and video restoration toolbox",
    "https://github.com/XPixelGroup/BasicSR",
)


@dataclass(frozen=True)
class About:
    """A model as its package describes it."""

    name: str
    """Five characters or more."""
    authors: tuple[str, ...]
    """Names of the authors."""
    licence: str
    """SPDX identifier."""
    frames: int
    """Sections of a window."""
    scale: int
    """HR over LR size."""
    step: int
    """LR heights and widths are multiples of it."""

    @property
    def least(self) -> int:
        """The least height and width of a tile with its halo, in LR pixels."""
        return -(-4 * HALO // self.step) * self.step

    @property
    def channels(self) -> list[str]:
        """What the sections of a window are called."""
        centre = self.frames // 2
        before = [f"previous_{centre - k}" for k in range(centre)]
        return [*before, "section", *(f"next_{k + 1}" for k in range(centre))]
