"""``gpemsr-train-mmagic``: train or validate what a config of MMagic describes, with mmengine's Runner."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpemsr.cli import new_parser
from gpemsr.compat import flush_denormals, mmengine_without_cuda, silence_known_warnings
from gpemsr.errors import InputError, command, one_line

EXAMPLES = """examples:
  gpemsr-train-mmagic configs/gpemsr/gpemsr_x8.py
  gpemsr-train-mmagic configs/gpemsr/gpemsr_x8.py --resume
  gpemsr-train-mmagic configs/gpemsr/gpemsr_x8.py --validate work_dirs/gpemsr_x8/net_g_latest.pth

A config is Python: reading one runs it. Take configs, and checkpoints to resume from, only from people whom you trust.
"""


@command
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code (2 for bad input)."""
    text = "Train stage III with MMagic and mmengine's Runner. Results go to the work folder."
    parse = new_parser("train-mmagic", text, EXAMPLES)
    parse.add_argument("config", type=Path, help="config file (Python), such as configs/gpemsr/gpemsr_x8.py")
    parse.add_argument("--work-dir", type=Path, metavar="DIR", help="work folder (default work_dirs/<config>)")
    parse.add_argument("--resume", action="store_true", help="go on from the work folder's last checkpoint")
    text = "only validate the weights of a net_g_*.pth, ours or BasicSR's"
    parse.add_argument("--validate", type=Path, metavar="FILE", help=text)
    parse.add_argument("--param-key", default="params", metavar="KEY", help="with --validate: or params_ema")
    text = "values that replace the config's, dotted keys"
    parse.add_argument("--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help=text)
    parse.add_argument("--check", action="store_true", help="only check the config")
    parse.add_argument("--launcher", choices=["none", "pytorch", "slurm"], default="none", help="job launcher")
    parse.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parse.parse_args(argv)
    if arguments.resume and arguments.validate:
        raise InputError("--resume is for training; --validate takes the weights of its file")
    try:
        from gpemsr.mmagic.checks import check_config
    except ImportError as error:
        raise InputError(str(error)) from None
    import torch
    from mmengine.runner import Runner

    config = read_config(arguments.config, arguments.cfg_options)
    config.work_dir = str(arguments.work_dir or config.get("work_dir") or Path("work_dirs", arguments.config.stem))
    model = config.get("model", {})
    config.resume = arguments.resume
    if arguments.validate:
        model.update(pretrain_prior=None, pretrain_network_g=str(arguments.validate), param_key_g=arguments.param_key)
    check_config(config, str(arguments.config), is_train=arguments.validate is None)
    if arguments.check:
        print(f"{arguments.config}: no errors found")
        return 0
    silence_known_warnings()
    flush_denormals()
    config.launcher = arguments.launcher
    if arguments.launcher != "none":
        os.environ.setdefault("LOCAL_RANK", str(arguments.local_rank))
        if not torch.cuda.is_available():
            config.model_wrapper_cfg = {"type": "MMDistributedDataParallel", "device_ids": None}
            config.merge_from_dict({"env_cfg.dist_cfg.backend": "gloo"})
    with mmengine_without_cuda():
        runner = Runner.from_cfg(config)
    if arguments.validate:
        (getattr(runner.model, "module", runner.model)).init_weights()
        runner.val()
    else:
        runner.train()
    return 0


def read_config(file: Path, options: Sequence[str]) -> Any:
    """Read a config, which runs it, and replace values by ``key=value`` entries.

    Raises:
        InputError: no such file, or no config.
    """
    from mmengine.config import Config, DictAction

    if not file.is_file():
        raise InputError(f"{file}: no such file; expected a config such as configs/gpemsr/gpemsr_x8.py")
    try:
        config = Config.fromfile(str(file))
    except Exception as error:  # a config is code: it may raise anything
        raise InputError(f"{file}: {type(error).__name__}: {one_line(error)}") from None
    replace = argparse.ArgumentParser()
    replace.add_argument("--cfg-options", nargs="+", action=DictAction, default={})
    for entry in options:
        if "=" not in entry:
            raise InputError(f"--cfg-options {entry}: expected key=value, such as train_cfg.max_iters=1000")
    config.merge_from_dict(replace.parse_args(["--cfg-options", *options] if options else []).cfg_options)
    return config


if __name__ == "__main__":
    raise SystemExit(main())
