"""Weights between those of two trainings of the same network: one dial from faithful to sharp."""

from __future__ import annotations

import torch

from gpemsr.checkpoints.files import State
from gpemsr.errors import InputError


def blend(state: State, other: State, share: float) -> State:
    """``(1 - share) * state + share * other``, for two trainings that began with the same weights (Wang et al. 2019).

    Entries that are no floating-point weights are those of ``state``.

    Raises:
        InputError: ``share`` is not within 0 to 1, or the weights are of different networks.
    """
    if not 0 <= share <= 1:
        raise InputError(f"share {share}: expected from 0 to 1")
    for name in sorted(state.keys() ^ other.keys()):
        raise InputError(f"{name} is in one of the two files only; expected weights of the same network")
    for name, value in state.items():
        if value.shape != other[name].shape:
            sizes = " and ".join("x".join(map(str, x.shape)) for x in (value, other[name]))
            raise InputError(f"{name} has sizes {sizes}; expected weights of the same network")
    return {
        name: torch.lerp(value.float(), other[name].float(), share).to(value.dtype)
        if value.is_floating_point()
        else value
        for name, value in state.items()
    }
