"""Lasting patches of BasicSR's training loop: where it resumes, what it reads, and the end of its prefetch thread."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpemsr.compat.basicsr_patches import replace
from gpemsr.compat.temporary import temporarily
from gpemsr.files import replaced


def train_on(
    find_state: Callable[[dict], dict | None],
    stream: Callable[[dict, dict | None], Callable],
    items: Callable[[Any, dict], Any],
    start_worker: Callable[[int], None],
) -> None:
    """Let BasicSR's loop resume from what ``find_state`` finds and train exactly the steps of a stream.

    BasicSR asks for the current CUDA device to resume, looks for ``--auto_resume`` states under a relative
    ``experiments/``, wherever the experiment is, and takes the newest, damaged or not. A resumed run begins its epoch
    again. Epochs are counted with their last, partial batch, which is then dropped, so that ``total_iter`` is not
    reached; where it is, the last validation is one or more iterations late. Loaders draw seeds from the generator
    that networks draw from.

    Args:
        find_state: options -> the training state to go on from, or None.
        stream: options, that state -> a class in the place of ``EnlargedSampler``. Its instances have ``first_epoch``
            and ``last_epoch``.
        items: data set, options -> the data set whose items the stream names.
        start_worker: ``worker_init_fn`` of the training's data loader.
    """
    import basicsr.train
    import torch

    resumed: dict[str, Any] = {}

    def load_resume_state(opt):
        resumed["state"] = find_state(opt)
        return resumed["state"]

    def make(original: Callable) -> Callable:
        def create_train_val_dataloader(opt, logger):
            state, build_dataset = resumed.get("state"), basicsr.train.build_dataset

            def build(section):
                dataset = build_dataset(section)
                return items(dataset, opt) if section["phase"] == "train" else dataset

            with temporarily(basicsr.train, EnlargedSampler=stream(opt, state), build_dataset=build):
                loader, sampler, val_loaders, _, total_iter = original(opt, logger)
            for each in (loader, *val_loaders):
                each.generator = torch.Generator()
            loader.worker_init_fn = start_worker
            if state is not None:
                state["epoch"] = sampler.first_epoch
            return loader, sampler, val_loaders, sampler.last_epoch, total_iter

        return create_train_val_dataloader

    replace(basicsr.train, "load_resume_state", lambda original: load_resume_state)
    replace(basicsr.train, "create_train_val_dataloader", make)


def report_prefetch_errors() -> None:
    """Let an error in the thread of ``prefetch_mode: cpu`` reach the loop, which would wait forever otherwise."""
    from basicsr.data.prefetch_dataloader import PrefetchGenerator

    def make_run(original: Callable) -> Callable:
        def run(self):
            try:
                original(self)
            except BaseException as error:
                self.queue.put(error)

        return run

    def make_next(original: Callable) -> Callable:
        def __next__(self):
            item = original(self)
            if isinstance(item, BaseException):
                raise item
            return item

        return __next__

    replace(PrefetchGenerator, "run", make_run)
    replace(PrefetchGenerator, "__next__", make_next)


def copy_options_as(resolved_text: Callable[[str], str]) -> None:
    """Let the copy of an option file in the experiment's folder hold what it takes from its bases, too."""
    import basicsr.train
    from basicsr.utils.dist_util import master_only

    @master_only
    def copy_opt_file(opt_file, experiments_root):
        head = f"# GENERATE TIME: {time.asctime()}\n# CMD:\n# {' '.join(sys.argv)}\n\n"
        with replaced(Path(experiments_root, Path(opt_file).name)) as file:
            file.write_text(head + resolved_text(opt_file), encoding="utf-8")

    replace(basicsr.train, "copy_opt_file", lambda original: copy_opt_file)
