"""How well a codebook is used: counts of the codes chosen recently."""

from __future__ import annotations

import torch


class CodebookUsage:
    """Counts of each code, forgotten exponentially.

    Args:
        memory: steps over which counts fade to 1/e.
    """

    def __init__(self, num_codes: int, memory: int = 50, device: torch.device | str = "cpu") -> None:
        self.decay = 1 - 1 / memory
        self.counts = torch.zeros(num_codes, device=device)
        self.steps = 0

    def update(self, codes: torch.Tensor) -> None:
        """Add one step's codes, of any shape, without waiting for the device."""
        codes = codes.flatten()
        ones = torch.ones_like(codes, dtype=self.counts.dtype)
        step = torch.zeros_like(self.counts).scatter_add_(0, codes, ones)  # bincount reads the largest code first
        self.counts.mul_(self.decay).add_(step)
        self.steps += 1

    def perplexity(self) -> torch.Tensor:
        """exp(entropy) of the choice: 1 (always the same code) to the number of codes (all alike)."""
        p = self.counts / self.counts.sum().clamp_min(1e-12)
        return torch.special.entr(p).sum().exp()

    def dead(self) -> torch.Tensor:
        """Indices of the codes chosen recently less than a thirtieth as often as the average code."""
        return self._is_dead().nonzero().flatten()

    def num_dead(self) -> torch.Tensor:
        """The number of :meth:`dead` codes, as a float scalar on the device, which is not waited for."""
        return self._is_dead().sum(dtype=self.counts.dtype)

    def _is_dead(self) -> torch.Tensor:
        return self.counts <= self.counts.mean() / 30

    def revive(self, codes: torch.Tensor) -> None:
        """Count the codes at these indices as used like the average one, so that they get time to prove useful."""
        self.counts[codes] = self.counts.mean().clamp_min(1)
