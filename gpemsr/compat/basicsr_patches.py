"""Lasting patches of what BasicSR's training and test share."""

from __future__ import annotations

import argparse
import functools
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from gpemsr.compat.temporary import temporarily
from gpemsr.compat.torch_settings import flush_denormals, keep_freed_memory, sample_without_nan, silence_known_warnings


def apply() -> None:
    """Install the lasting patches below into the imported BasicSR, and settings of torch. Repeatable."""
    distribute_without_cuda()
    make_only_folders()
    silence_known_warnings()
    flush_denormals()
    keep_freed_memory()
    sample_without_nan()


def replace(owner: Any, name: str, make: Callable[[Any], Callable]) -> None:
    """Replace the function ``owner.name`` by ``make`` of it, once; the replacement keeps it as ``original``."""
    original = getattr(owner, name)
    if getattr(original, "original", None) is None:
        replacement = functools.wraps(original)(make(original))
        replacement.original = original  # type: ignore[attr-defined]
        setattr(owner, name, replacement)


def distribute_without_cuda() -> None:
    """Let ``--launcher pytorch`` (torchrun) and ``--launcher slurm`` work on machines without CUDA, with gloo.

    BasicSR takes the rank modulo the number of GPUs (ZeroDivisionError) and always asks for nccl.
    """
    import basicsr.utils.dist_util
    import basicsr.utils.options
    import torch

    def make(original: Callable) -> Callable:
        def init_dist(launcher, backend="nccl", **kwargs):
            if torch.cuda.is_available():
                return original(launcher, backend, **kwargs)
            with temporarily(torch.cuda, device_count=lambda: 1, set_device=lambda device: None):
                return original(launcher, "gloo", **kwargs)

        return init_dist

    replace(basicsr.utils.dist_util, "init_dist", make)
    basicsr.utils.options.init_dist = basicsr.utils.dist_util.init_dist


def make_only_folders() -> None:
    """Let ``path`` hold keys of other models than BasicSR's.

    BasicSR makes a folder of every value of ``path`` whose key it does not know, also where that is a file. And it
    fails to archive two folders of one name within a second: the second one waits.
    """
    import basicsr.test
    import basicsr.train
    from basicsr.utils import get_time_str

    folders = ("experiments_root", "models", "training_states", "results_root", "log", "visualization")

    def make(original: Callable) -> Callable:
        def make_exp_dirs(opt):
            root = opt["path"].get("experiments_root" if opt["is_train"] else "results_root")
            while os.path.exists(f"{root}_archived_{get_time_str()}"):
                time.sleep(0.1)
            return original({**opt, "path": {key: opt["path"][key] for key in folders if key in opt["path"]}})

        return make_exp_dirs

    replace(basicsr.train, "make_exp_dirs", make)
    replace(basicsr.test, "make_exp_dirs", make)


def parse_options_with(read: Callable[[str, list[str]], dict[str, Any]]) -> None:
    """Let BasicSR's pipelines take their options from ``read(file, entries of --force_yml)``.

    BasicSR reads files with PyYAML's full loader and ``--force_yml`` by ``exec`` and ``eval``: both run code
    from a file or a shell history. torchrun's spelling ``--local-rank`` is accepted, too.
    """
    import basicsr.test
    import basicsr.train
    import basicsr.utils.options

    def make(original: Callable) -> Callable:
        def parse_options(root_path, is_train=True):
            parser = argparse.ArgumentParser(add_help=False)
            parser.add_argument("--force_yml", nargs="+", default=[])
            parser.add_argument("--local_rank", "--local-rank", default="0")
            own, rest = parser.parse_known_args()

            class Loader:
                """What BasicSR hands to PyYAML as the loader of its option file."""

                def __init__(self, stream):
                    self.file = stream.name

                def get_single_data(self):
                    return read(self.file, own.force_yml)

                def dispose(self):
                    pass

            with (
                temporarily(sys, argv=[sys.argv[0], *rest, "--local_rank", own.local_rank]),
                temporarily(basicsr.utils.options, ordered_yaml=lambda: (Loader, None)),
            ):
                opt, args = original(root_path, is_train)
            args.force_yml = own.force_yml or None
            return opt, args

        return parse_options

    replace(basicsr.utils.options, "parse_options", make)
    basicsr.train.parse_options = basicsr.utils.options.parse_options
    basicsr.test.parse_options = basicsr.utils.options.parse_options
