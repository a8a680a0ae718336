"""Lasting patches of BasicSR's training and test loops."""

from __future__ import annotations

import argparse
import functools
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpemsr.compat.temporary import temporarily
from gpemsr.compat.torch_settings import flush_denormals, silence_known_warnings


def apply() -> None:
    """Install the lasting patches below into the imported BasicSR, except :func:`parse_options_with`. Repeatable."""
    resume_without_cuda()
    distribute_without_cuda()
    make_only_folders()
    silence_known_warnings()
    flush_denormals()


def working_root() -> str:
    """Return the folder below which ``experiments/``, ``results/`` and ``tb_logger/`` go: the working directory.

    ``python -m basicsr.train`` uses the folder that holds the installed BasicSR, i.e. site-packages.
    """
    return os.getcwd()


def _replace(owner: Any, name: str, make: Callable[[Any], Callable]) -> None:
    """Replace the function ``owner.name`` by ``make`` of it, once; the replacement keeps it as ``original``."""
    original = getattr(owner, name)
    if getattr(original, "original", None) is None:
        replacement = functools.wraps(original)(make(original))
        replacement.original = original  # type: ignore[attr-defined]
        setattr(owner, name, replacement)


def resume_without_cuda() -> None:
    """Let training resume without CUDA and from the experiment's own folder.

    BasicSR asks for the current CUDA device and looks for ``--auto_resume`` states under a relative
    ``experiments/``, wherever the experiment is. States are read into main memory, without running pickled
    code; the optimisers move theirs to their parameters' device.
    """
    import basicsr.train
    import torch
    from basicsr.utils import check_resume

    def load_resume_state(opt):
        path = opt["path"].get("resume_state")
        if opt["auto_resume"]:
            states = Path(opt["path"]["training_states"]).glob("*.state")
            path = max(states, key=lambda state: float(state.stem), default=None)
        if path is None:
            return None
        opt["path"]["resume_state"] = str(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        check_resume(opt, state["iter"])
        return state

    _replace(basicsr.train, "load_resume_state", lambda original: load_resume_state)


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

    _replace(basicsr.utils.dist_util, "init_dist", make)
    basicsr.utils.options.init_dist = basicsr.utils.dist_util.init_dist


def make_only_folders() -> None:
    """Let ``path`` hold keys of other models than BasicSR's.

    BasicSR makes a folder of every value of ``path`` whose key it does not know, also where that is a file.
    """
    import basicsr.test
    import basicsr.train

    folders = ("experiments_root", "models", "training_states", "results_root", "log", "visualization")

    def make(original: Callable) -> Callable:
        def make_exp_dirs(opt):
            return original({**opt, "path": {key: opt["path"][key] for key in folders if key in opt["path"]}})

        return make_exp_dirs

    _replace(basicsr.train, "make_exp_dirs", make)
    _replace(basicsr.test, "make_exp_dirs", make)


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

    _replace(basicsr.utils.options, "parse_options", make)
    basicsr.train.parse_options = basicsr.utils.options.parse_options
    basicsr.test.parse_options = basicsr.utils.options.parse_options


def copy_options_as(resolved_text: Callable[[str], str]) -> None:
    """Let the copy of an option file in the experiment's folder hold what it takes from its bases, too."""
    import basicsr.train

    def make(original: Callable) -> Callable:
        def copy_opt_file(opt_file, experiments_root):
            with tempfile.TemporaryDirectory() as folder:
                resolved = Path(folder, Path(opt_file).name)
                resolved.write_text(resolved_text(opt_file), encoding="utf-8")
                original(str(resolved), experiments_root)

        return copy_opt_file

    _replace(basicsr.train, "copy_opt_file", make)
