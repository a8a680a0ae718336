"""Affinities of a whole volume, predicted by overlapping blocks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch

BLOCK = (32, 216, 216)
CONTEXT = (8, 54, 54)


@torch.no_grad()
def predict_affinities(
    net: torch.nn.Module,
    raw: torch.Tensor,
    block: Sequence[int] = BLOCK,
    context: Sequence[int] = CONTEXT,
) -> np.ndarray:
    """Affinities that a network predicts for a volume of any size.

    The volume is split into blocks; each is predicted together with the voxels around it, which overlap its
    neighbours, and its own part is kept. Memory is that of one block with its context.

    Args:
        net: (b, 1, z, y, x) in [0, 1] -> logits (b, 3, z, y, x); put in eval mode meanwhile.
        raw: (z, y, x) in [0, 1].
        block: z, y and x of a block, in voxels.
        context: voxels around a block on each side, at most; half of the receptive field leaves no seams.

    Returns:
        (3, z, y, x) float32 in [0, 1].
    """
    affinities = np.empty((3, *raw.shape), np.float32)
    device = next(net.parameters()).device
    was_training = net.training
    net.eval()
    for start in itertools.product(*(range(0, size, step) for size, step in zip(raw.shape, block, strict=True))):
        stop = [min(a + step, size) for a, step, size in zip(start, block, raw.shape, strict=True)]
        first = [max(a - around, 0) for a, around in zip(start, context, strict=True)]
        last = [min(b + around, size) for b, around, size in zip(stop, context, raw.shape, strict=True)]
        read = tuple(map(slice, first, last))
        own = tuple(slice(a - c, b - c) for a, b, c in zip(start, stop, first, strict=True))
        logits = net(raw[read][None, None].to(device))[0]
        affinities[(slice(None), *map(slice, start, stop))] = torch.sigmoid(logits[(slice(None), *own)]).cpu().numpy()
    net.train(was_training)
    return affinities
