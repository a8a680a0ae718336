"""Keeps gradients that are no numbers from the weights, and clips the others."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from basicsr.utils import get_root_logger
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from gpemsr.errors import RunError

SKIPPED_STEPS = 10  # in a row, before a training stops


class StepGuard:
    """Skips the steps of optimisers whose gradients are not finite, and puts statistics of batches back.

    Args:
        grad_clip: largest norm of an optimiser's gradients; None for no limit.
        limit: steps in a row that are skipped before the training stops.

    Attributes:
        in_a_row: steps skipped since the last that was not.
    """

    def __init__(
        self,
        optimizers: Iterable[torch.optim.Optimizer],
        networks: Iterable[nn.Module],
        grad_clip: float | None,
        limit: int,
    ) -> None:
        self.grad_clip = grad_clip or math.inf
        self.limit = limit
        self.skipped = self.in_a_row = 0
        self._is_finite = True
        layers = [m for net in networks for m in net.modules() if isinstance(m, _BatchNorm)]
        self._statistics = [buffer for layer in layers for buffer in layer.buffers()]
        for optimizer in optimizers:
            optimizer.register_step_pre_hook(self._before_step)

    def _before_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        """Take away gradients that are not finite: a step without gradients changes nothing."""
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if parameters and not nn.utils.clip_grad_norm_(parameters, self.grad_clip).isfinite():
            self.refuse()
            optimizer.zero_grad(set_to_none=True)

    def refuse(self) -> None:
        """Count this step as skipped."""
        self._is_finite = False

    def begin(self) -> None:
        """Before a step: keep the statistics."""
        self._is_finite = True
        self._kept = [buffer.clone() for buffer in self._statistics]

    def end(self, iteration: int, losses: Mapping[str, Any], keys: Any, last_saved: str) -> None:
        """After a step: count it if it was skipped. Raises RunError if too many were skipped in a row."""
        if self._is_finite:
            self.in_a_row = 0
            return
        for buffer, kept in zip(self._statistics, self._kept, strict=True):
            buffer.copy_(kept)
        self.skipped += 1
        self.in_a_row += 1
        shown = ", ".join(f"{name} {float(value):.4g}" for name, value in losses.items())
        text = f"Iteration {iteration}: the gradient is not finite ({shown}; batch: {keys})"
        if self.in_a_row > self.limit:
            count = f"{self.in_a_row} steps in a row" if self.limit else "train.skip_non_finite is 0"
            raise RunError(f"{text}: {count}, so the training stops; last good checkpoint: {last_saved}")
        get_root_logger().warning(f"{text}: the step is skipped, {self.skipped} so far.")
