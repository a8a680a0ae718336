"""Lasting mends of BasicSR's training and test loops."""

from __future__ import annotations

import functools
import os
import sys
import tempfile
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from gpemsr.compat.torch_mends import flush_denormals, silence_known_warnings


def apply() -> None:
    """Install every lasting mend below into the imported BasicSR. Repeatable."""
    resume_without_cuda()
    distribute_without_cuda()
    wrap_networks_on_any_device()
    save_whole_files()
    make_only_folders()
    parse_options_safely()
    silence_known_warnings()
    flush_denormals()


def working_root() -> str:
    """Return the folder below which ``experiments/``, ``results/`` and ``tb_logger/`` go: the working directory.

    ``python -m basicsr.train`` uses the folder that holds the installed BasicSR, i.e. site-packages.
    """
    return os.getcwd()


def _replace(owner: Any, name: str, make: Callable[[Any], Callable]) -> None:
    """Set ``owner.name`` to ``make(the function that was there)``, once however often it is called."""
    original = getattr(owner, name)
    if getattr(original, "mends", None) is None:
        replacement = functools.wraps(original)(make(original))
        replacement.mends = original  # type: ignore[attr-defined]
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
            with (
                mock.patch.object(torch.cuda, "device_count", return_value=1),
                mock.patch.object(torch.cuda, "set_device"),
            ):
                return original(launcher, "gloo", **kwargs)

        return init_dist

    _replace(basicsr.utils.dist_util, "init_dist", make)
    basicsr.utils.options.init_dist = basicsr.utils.dist_util.init_dist


def wrap_networks_on_any_device() -> None:
    """Let ``BaseModel.model_to_device`` wrap a network for DDP on the CPU, where ``device_ids`` must be None.

    The option ``use_static_graph: true`` (later BasicSR versions have it) is honoured too.
    """
    from basicsr.models.base_model import BaseModel
    from torch.nn.parallel import DistributedDataParallel

    def make(original: Callable) -> Callable:
        def model_to_device(self, net):
            if self.opt["dist"] and self.device.type == "cpu":
                unused = self.opt.get("find_unused_parameters", False)
                net = DistributedDataParallel(net.to(self.device), find_unused_parameters=unused)
            else:
                net = original(self, net)
            if self.opt["dist"] and self.opt.get("use_static_graph", False):
                net._set_static_graph()
            return net

        return model_to_device

    _replace(BaseModel, "model_to_device", make)


def save_whole_files() -> None:
    """Let checkpoints and training states appear under their names only when they are whole.

    BasicSR writes them in place, so that a run killed while it saves leaves a truncated state, which
    ``--auto_resume`` then takes. They are written to a hidden folder beside and renamed; one that could not
    be written (BasicSR logs it and trains on) leaves nothing.
    """
    from basicsr.models.base_model import BaseModel
    from basicsr.utils.dist_util import get_dist_info

    def staged(folder_key: str) -> Callable[[Callable], Callable]:
        def make(original: Callable) -> Callable:
            def save(self, *args, **kwargs):
                if get_dist_info()[0] != 0:
                    return
                paths = self.opt["path"]
                final = Path(paths[folder_key])
                with tempfile.TemporaryDirectory(dir=final, prefix=".saving_") as stage:
                    paths[folder_key] = stage
                    try:
                        original(self, *args, **kwargs)
                    finally:
                        paths[folder_key] = str(final)
                    for written in filter(zipfile.is_zipfile, Path(stage).iterdir()):
                        written.replace(final / written.name)

            return save

        return make

    _replace(BaseModel, "save_network", staged("models"))
    _replace(BaseModel, "save_training_state", staged("training_states"))


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


def parse_options_safely() -> None:
    """Let option files and ``--force_yml`` be data only, and take torchrun's spelling ``--local-rank``.

    BasicSR reads files with PyYAML's full loader and ``--force_yml`` by ``exec`` and ``eval``: both run code
    from a file or a shell history. See :mod:`gpemsr.options.read` for what is read instead.
    """
    import basicsr.test
    import basicsr.train
    import basicsr.utils.options

    from gpemsr.options.read import override, read_options, split_force_yml

    def make(original: Callable) -> Callable:
        def parse_options(root_path, is_train=True):
            argv = [
                "--local_rank" + argument[12:] if argument.split("=")[0] == "--local-rank" else argument
                for argument in sys.argv
            ]
            rest, forced = split_force_yml(argv[1:])
            reader = types.SimpleNamespace(load=lambda stream, Loader: override(read_options(stream.name), forced))
            with (
                mock.patch.object(sys, "argv", [argv[0], *rest]),
                mock.patch.object(basicsr.utils.options, "yaml", reader),
                mock.patch.object(basicsr.utils.options, "ordered_yaml", lambda: (None, None)),
            ):
                opt, args = original(root_path, is_train)
            args.force_yml = forced or None
            return opt, args

        return parse_options

    _replace(basicsr.utils.options, "parse_options", make)
    basicsr.train.parse_options = basicsr.utils.options.parse_options
    basicsr.test.parse_options = basicsr.utils.options.parse_options
