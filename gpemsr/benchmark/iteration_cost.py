"""What an iteration of a training takes of the CPU."""

from __future__ import annotations

import copy
import os
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

WARM_UP = 2  # iterations that are not counted, as they allocate memory


def iteration_seconds(options: Mapping[str, Any], folder: Path, steps: int) -> float:
    """CPU seconds of one iteration on one thread, the mean over iterations spread over the whole training.

    They are spread because a stage may do more from some iteration on. Nothing is loaded, saved or logged: a
    checkpoint that the training would start from is left out.

    Args:
        options: content of a checked option file for training.
        folder: what its paths are relative to; it becomes the working directory.
        steps: iterations to measure.
    """
    from gpemsr import compat, register

    os.chdir(folder)
    register()
    compat.apply()
    import torch

    torch.set_num_threads(1)
    from basicsr.data import build_dataset
    from basicsr.models import build_model

    complete: dict[str, Any] = copy.deepcopy(dict(options))
    complete |= {"is_train": True, "dist": False, "rank": 0, "world_size": 1}
    if complete["num_gpu"] == "auto":
        complete["num_gpu"] = torch.cuda.device_count()
    complete["path"] = {key: None if key.startswith("pretrain_") else value for key, value in complete["path"].items()}
    section = complete["datasets"]["train"]
    scale = {"scale": complete["scale"]} if complete.get("scale") else {}
    dataset = build_dataset({**section, **scale, "phase": "train"})
    loader = torch.utils.data.DataLoader(dataset, section["batch_size_per_gpu"], shuffle=True, drop_last=True)
    model = build_model(complete)
    batches = _endless(loader)
    taken = []
    for iteration in [1] * WARM_UP + list(np.linspace(1, complete["train"]["total_iter"], steps).astype(int)):
        start = time.process_time()
        model.feed_data(next(batches))
        model.optimize_parameters(int(iteration))
        taken.append(time.process_time() - start)
    return statistics.mean(taken[WARM_UP:])


def _endless(loader: Any) -> Any:
    while True:
        yield from loader
