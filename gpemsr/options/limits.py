"""Checks of values that no training or test could use: not finite, absurdly large, no names of files."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from typing import Any

import torch

from gpemsr.options.place import Place

LARGEST = 10**9  # of any whole number in an option file: iterations, pixels, seeds
LARGEST_SIZE = 8192  # of those of a network: channels, codes
MOST_LAYERS = 1000  # of blocks, each a module that takes time to make
BYTES_PER_WEIGHT = 16  # in training: weight, gradient and the two moments of Adam, float32
SEEDS = 2**31


def check_numbers(value: Any, place: Place) -> None:
    """Refuse numbers that are not finite or larger than anything needs, and keys that are no text, at any depth."""
    for number, here in _numbers(value, place):
        largest = SEEDS if here.key.endswith("seed") else LARGEST
        if isinstance(number, float) and not math.isfinite(number):
            here.fail(number, "a finite number is expected")
        if isinstance(number, int) and abs(number) > largest:
            shown = number if abs(number) < 10**20 else f"{len(hex(number)) - 2} hexadecimal digits"
            here.fail(shown, f"at most {largest}")


def _numbers(value: Any, place: Place) -> Iterator[tuple[int | float, Place]]:
    """The numbers in a value, at any depth, and where they are; refuses keys that are no text."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                (place / key).fail(inner, "a key that is text is expected")
            yield from _numbers(inner, place / key)
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(inner, place)
    elif isinstance(value, int | float):
        yield value, place


def check_file_name(name: Any, place: Place) -> None:
    """Refuse what cannot be the name of a folder of results."""
    allowed = isinstance(name, str) and name == name.strip() and name.isprintable() and not {"/", "\\"} & set(name)
    if not allowed or name in ("", ".", "..") or len(os.fsencode(name)) > 100:
        place.fail(name, "a folder name without slashes is expected, of at most 100 bytes")


def check_logger(options: Mapping[str, Any], model: Any, top: Place) -> None:
    """Refuse Weights & Biases without what it needs, and a best network by a metric that no validation has."""
    logger, val = options["logger"], options.get("val") or {}
    if (logger.get("wandb") or {}).get("project") is not None:
        if not logger["use_tb_logger"]:
            (top / "logger" / "use_tb_logger").fail(
                False, "true is expected with logger.wandb, which reads TensorBoard's"
            )
        if find_spec("wandb") is None:
            (top / "logger" / "wandb").fail(logger["wandb"], "wandb is not installed: null, or pip install wandb")
    if logger.get("keep_best"):
        known = [*(val.get("metrics") or {}), *getattr(model, "scalars_of_validation", ())]
        if "val" not in options["datasets"] or logger["keep_best"]["metric"] not in known:
            expected = f"{' or '.join(known) or 'a metric in val.metrics'} is expected, and datasets.val"
            (top / "logger" / "keep_best" / "metric").fail(logger["keep_best"]["metric"], expected)


def check_size(network: Callable, section: Mapping[str, Any], place: Place) -> None:
    """Refuse a network that no machine could hold; it is not built for real."""
    for number, here in _numbers(section, place):
        is_count = any(word in here.key.rpartition(".")[2] for word in ("block", "depth", "level", "frame", "layer"))
        largest = MOST_LAYERS if is_count else LARGEST_SIZE
        if isinstance(number, int) and number > largest:
            here.fail(number, f"at most {largest} is expected")
    options = {key: None if "weights" in key else value for key, value in section.items() if key != "type"}
    try:
        with torch.device("meta"):
            weights = sum(p.numel() for p in network(**options).parameters())
    except Exception:  # its constructor reads values, or asks for what is checked elsewhere
        return
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if BYTES_PER_WEIGHT * weights > memory:
        needed = f"{BYTES_PER_WEIGHT * weights / 2**30:.0f} GiB for {weights} weights in training"
        place.fail(section.get("type"), f"{needed}; at most the machine's {memory / 2**30:.0f} GiB is expected")
