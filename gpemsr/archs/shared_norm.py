"""Batch normalisation by the statistics of all processes, so that several train as one with their batches does."""

from __future__ import annotations

import torch
from torch import distributed, nn
from torch.distributed.nn.functional import all_reduce


class SharedBatchNorm3d(nn.BatchNorm3d):
    """``nn.BatchNorm3d``; in a training of several processes the batch is that of all.

    PyTorch's ``SyncBatchNorm`` needs GPUs. The state dict is the same.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(b, c, z, y, x) -> (b, c, z, y, x)."""
        if not (self.training and distributed.is_initialized()):
            return super().forward(input)
        assert self.momentum is not None  # for PyTorch, an average over all batches
        axes = (0, 2, 3, 4)
        count = input.new_tensor(input.numel() / input.shape[1])
        distributed.all_reduce(count)
        mean = all_reduce(input.sum(axes, keepdim=True)) / count
        centred = input - mean
        variance = all_reduce(centred.square().sum(axes, keepdim=True)) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean.flatten(), self.momentum)
            self.running_var.lerp_((variance * count / (count - 1).clamp(min=1)).flatten(), self.momentum)
        scale = self.weight.view(1, -1, 1, 1, 1) * (variance + self.eps).rsqrt()
        return centred * scale + self.bias.view(1, -1, 1, 1, 1)
