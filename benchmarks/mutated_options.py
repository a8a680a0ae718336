"""Random changes of option files, of all kinds that a user, an editor or a script could make."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

VALUES: list[Any] = [None, True, False, 0, 1, -1, 2, 3, 7, 10**6, 10**12, -(10**12), 0.5, -0.5, 1e-30, 1e30]
VALUES += [float("nan"), float("inf"), "", "x", "../x", "/", "1e-4", "train", "L1Loss", "EDVR", "VQGAN", "null"]
VALUES += [
    [],
    [1],
    [None],
    [0, 0],
    [1, 2, 3],
    [[1]],
    ["x"],
    [-1, 64],
    [[], {}],
    {},
    {"a": 1},
    {"type": "x"},
    {"type": None},
]


def mutated(options: dict, rng: random.Random) -> tuple[dict, list[str]]:
    """A copy of options with one to three changes, and what they are. Half of them keep to values of the same type."""
    options = copy.deepcopy(options)
    changes = []
    mild = rng.random() < 0.5
    for _change in range(rng.choice((1, 1, 1, 2, 3))):
        holder, key, name = rng.choice(list(_places(options)))
        value = holder[key]
        action = rng.choice(("set", "set", "set", "set", "delete", "rename", "scale", "negate", "wrap", "copy", "add"))
        if mild:
            action = "alter"
            holder[key] = _altered(value, rng)
        elif action == "delete":
            del holder[key]
        elif action == "rename" and isinstance(holder, dict):
            holder[rng.choice((f"{key}x", key[:-1], key.upper(), 3, None, True))] = holder.pop(key)
        elif action == "scale" and isinstance(value, int | float):
            holder[key] = type(value)(value * rng.choice((0, 2, 3, 10, 1000, 10**6)))
        elif action == "negate" and isinstance(value, int | float):
            holder[key] = -value
        elif action == "wrap":
            holder[key] = rng.choice(([value], {"type": value}, str(value)))
        elif action == "copy":
            holder[key] = copy.deepcopy(rng.choice([found[at] for found, at, _ in _places(options)]))
        elif action == "add" and isinstance(value, dict):
            value[rng.choice(("x", "scale", "name", "weights", "num_frame"))] = rng.choice(VALUES)
        else:
            holder[key] = rng.choice(VALUES)
        now = holder.get(key, "") if isinstance(holder, dict) else holder
        changes.append(f"{action} {name} -> {str(now)[:60]}")
    return options, changes


def _altered(value: Any, rng: random.Random) -> Any:
    """Another value of the same type; with less in it, if it holds others."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return rng.choice((value + 1, value - 1, 2 * value, value // 2, 8 * value, 1, 0))
    if isinstance(value, float):
        return value * rng.choice((0.01, 0.5, 1.5, 10, 1000.0, 1e-20))
    if isinstance(value, str):
        return rng.choice((value, "none", "decoder", "MultiStepLR", "Adam", "psnr", "val", "v"))
    if isinstance(value, list):
        return rng.choice((value[:-1], value + value[:1], value[::-1]))
    if isinstance(value, dict):
        kept = [key for key in value if rng.random() < 0.8]
        return {key: value[key] for key in kept}
    return rng.choice((True, 1, 0.5, "x", 3))


def _places(holder: Any, name: str = "") -> Iterator[tuple[Any, Any, str]]:
    """(Mapping or list, key or position, dotted name) of every value at any depth."""
    for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
        yield holder, key, f"{name}.{key}".lstrip(".")
        if isinstance(holder[key], dict | list):
            yield from _places(holder[key], f"{name}.{key}")
