"""Networks to share: safetensors files of half precision, with the network's options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from gpemsr.errors import InputError
from gpemsr.files import replaced, write_errors

SUFFIX = ".safetensors"
METADATA = "gpemsr"  # key of the file's metadata, which holds ours as JSON


def read_half(path: Path) -> dict[str, Any]:
    """``{"params": state dict in float32, "metadata": ...}`` of a file.

    Raises:
        InputError: no such file, or not a safetensors file with plain data as metadata.
    """
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(METADATA, "{}")
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
        metadata = json.loads(text)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as safetensors ({str(error).splitlines()[0][:120]})") from None
    params = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    return {"params": params, "metadata": metadata}


def save_half(path: Path, checkpoint: dict[str, Any]) -> None:
    """Write ``params`` in float16, and ``metadata``; the file appears when it is whole.

    Raises:
        InputError: it cannot be written, or a weight is too large for half precision.
    """
    state = {}
    for key, value in checkpoint["params"].items():
        state[key] = (value.half() if value.is_floating_point() else value).contiguous()
        if value.is_floating_point() and not torch.isfinite(state[key]).all():
            raise InputError(f"{key}: expected finite numbers below 65504, the largest of half precision")
    with replaced(path) as temporary, write_errors(path):
        temporary.write_bytes(save(state, {METADATA: json.dumps(checkpoint.get("metadata", {}))}))
