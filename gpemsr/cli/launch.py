"""What ``gpemsr-train`` and ``gpemsr-test`` share: read and check the options, then hand over to BasicSR."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from gpemsr import compat, register
from gpemsr.checkpoints.earlier_stage import take_sizes
from gpemsr.checkpoints.inputs import check_inputs
from gpemsr.cli import new_parser
from gpemsr.errors import command
from gpemsr.models.run import train
from gpemsr.options.check import check_options
from gpemsr.options.read import override, read_options, resolved_text

with compat.importable_basicsr():  # here, not in a function, so that spawned data loader workers import it too
    import basicsr.test
    import basicsr.train


PROCESSES = {"pytorch": "WORLD_SIZE", "slurm": "SLURM_NTASKS"}  # launcher -> the variable that has their number


def _parser(is_train: bool) -> argparse.ArgumentParser:
    """Build the parser with BasicSR's flags, which BasicSR parses again."""
    parser = new_parser(
        "train" if is_train else "test",
        f"{'Train' if is_train else 'Test'} with BasicSR what an option file describes. Results go to "
        f"{'experiments/ and tb_logger/' if is_train else 'results/'} below the working directory.",
    )
    parser.add_argument("-opt", required=True, metavar="FILE", help="option file (YAML)")
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm"], default="none", help="job launcher")
    parser.add_argument("--auto_resume", action="store_true", help="go on from the experiment's last saved state")
    parser.add_argument("--debug", action="store_true", help="debug run: logs each iteration, validates every 8")
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument(
        "--force_yml", nargs="+", default=[], metavar="SECTION:KEY=VALUE", help="options that replace the file's"
    )
    parser.add_argument("--check", action="store_true", help="only check the option file")
    return parser


def read(file: str, forced: Sequence[str]) -> dict[str, Any]:
    """The content of an option file, with the entries of ``--force_yml`` applied."""
    return override(read_options(file), forced)


def program() -> list[str]:
    """How this process was started, without its arguments: a command, ``python`` with a script or module, torchrun."""
    words = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv) + 1]
    if not words or not (words[-1].endswith(".py") or "-m" in words):
        return [Path(sys.argv[0]).name]
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return ["torchrun", f"--nproc_per_node={os.environ['LOCAL_WORLD_SIZE']}", *(w for w in words if w != "-u")]
    return ["python", *words]


@command
def launch(is_train: bool, argv: Sequence[str] | None = None) -> int:
    """Run BasicSR's ``train_pipeline`` or ``test_pipeline`` on a checked option file.

    Args:
        argv: the command line's arguments; those of the process if None.

    Returns:
        The exit code: 0; 2 where an option is refused, 1 where a training cannot go on (both with one line on stderr);
        as of a process that a signal ended where one has ended a training.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = _parser(is_train).parse_args(arguments)
    register()
    options = read(args.opt, args.force_yml)
    if is_train:
        take_sizes(options, args.opt)
    check_options(options, args.opt, is_train)
    variable = PROCESSES.get(args.launcher, "")
    check_inputs(options, args.opt, int(os.environ.get(variable, 1)))
    if args.check:
        print(f"{args.opt}: no errors found")
        return 0
    if options["num_gpu"] == 0:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # else BasicSR's distributed set-up takes the GPUs
    compat.apply()
    compat.parse_options_with(read)
    compat.copy_options_as(resolved_text)
    pipeline: Callable[[str], None] = basicsr.train.train_pipeline if is_train else basicsr.test.test_pipeline
    root = os.getcwd()  # python -m basicsr.train takes the folder that holds the installed BasicSR, i.e. site-packages
    with compat.temporarily(sys, argv=[sys.argv[0], *arguments]):  # BasicSR reads it twice
        if is_train:
            go_on = [*program(), *arguments, *([] if args.auto_resume else ["--auto_resume"])]
            return train(partial(pipeline, root), shlex.join(go_on))
        pipeline(root)
    return 0
