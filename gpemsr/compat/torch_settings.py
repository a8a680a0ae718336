"""What is set in torch itself while the networks train."""

from __future__ import annotations

import warnings


def flush_denormals() -> None:
    """Let CPUs take numbers below 1e-38 for 0: networks in training make some, which slow single iterations tenfold.

    Threads that have begun already keep their setting.
    """
    import torch

    torch.set_flush_denormal(True)


def silence_known_warnings() -> None:
    """Silence two warnings of today's torch about BasicSR that a user can do nothing about.

    Its ``flow_warp`` calls ``torch.meshgrid`` without ``indexing``; its loop steps the schedulers of all optimisers,
    also of the discriminator's before the adversarial part begins.
    """
    warnings.filterwarnings("ignore", message="torch.meshgrid: in an upcoming release")
    warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step.. before `optimizer.step")
