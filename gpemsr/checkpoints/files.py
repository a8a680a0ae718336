"""Reading and writing checkpoint files: BasicSR's layout, tensors and plain data only."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gpemsr.checkpoints.half_precision import SUFFIX, read_half, save_half
from gpemsr.errors import InputError
from gpemsr.files import replaced, write_errors

State = dict[str, Tensor]
PARAM_KEYS = ("params", "params_ema")  # where BasicSR puts a state dict
INTEGERS = ("num_batches_tracked", "relative_position_index")  # entries that are no weights: BatchNorm's, SwinIR's


def read_checkpoint(path: str | Path) -> Any:
    """What a checkpoint file holds, on the CPU, read without running pickled code.

    Raises:
        InputError: no such file, not a checkpoint, truncated, with a wrong checksum, compressed, or a pickle that needs
            more than tensors.
    """
    path = Path(path).expanduser()
    if path.suffix == SUFFIX:
        return read_half(path)
    try:
        _check_archive(path)
        with warnings.catch_warnings():
            for text in ("Detected pickle protocol", "Validating sparse tensor"):  # the error says what matters
                warnings.filterwarnings("ignore", text)
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except pickle.UnpicklingError as error:
        needs = re.search(r"GLOBAL (\S+)", str(error))
        what = f"it needs {needs[1]}" if needs else "it is no checkpoint, or needs code to be run"
        raise InputError(f"{path}: refused, {what}; expected a file of plain tensors") from None
    except Exception as error:  # any bytes may be in it: the unpickler raises KeyError, IndexError, struct.error, ...
        reason = (str(error) or type(error).__name__).splitlines()[0][:120]
        raise InputError(f"{path}: cannot be read as a checkpoint ({reason})") from None


def _check_archive(path: Path) -> None:
    """Check the zip archive that torch writes, which torch reads without regard to checksums; older formats have none.

    Raises:
        ValueError: damaged, or compressed, which torch's are not.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        declared = sum(entry.file_size for entry in archive.infolist())
        if declared > path.stat().st_size:
            raise ValueError(f"{declared} bytes when unpacked; expected no more than the file has")
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"damaged: wrong checksum of {damaged}")


def check_weights(state: State) -> None:
    """Refuse what no network of ours has: weights that are not finite, not real, sparse or without values.

    Raises:
        InputError: with the first such entry.
    """
    for name, value in state.items():
        if value.layout != torch.strided or value.is_meta or value.is_quantized:
            raise InputError(f"{name} is sparse, quantised or without values; expected a dense tensor")
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise InputError(f"{name} has {value.numel()} values of fewer stored ones; expected each to be stored")
        if not value.is_floating_point():
            if value.dtype != torch.int64 or not name.endswith(INTEGERS):
                raise InputError(
                    f"{name} is {str(value.dtype).removeprefix('torch.')}; expected floating-point weights"
                )
        elif not value.isfinite().all():
            raise InputError(f"{name} holds NaN or Inf; expected finite weights")


def network_options(loaded: Any) -> dict[str, Any] | None:
    """Options, with ``type``, of the ``network_g`` that a loaded checkpoint of ours was saved with; None without."""
    metadata = loaded.get("metadata") if isinstance(loaded, Mapping) else None
    metadata = metadata if isinstance(metadata, dict) else {}
    options = metadata.get("network_g")
    is_known = isinstance(options, dict) and "type" in options and metadata.get("key_names") == "gpemsr"
    return options if is_known else None


def load_authors_file(path: str | Path, param_key: str | None = None) -> State:
    """The bare state dict of a file, see :func:`read_checkpoint`, :func:`unwrap` and :func:`check_weights`.

    Raises:
        InputError: as theirs, with the path.
    """
    loaded = read_checkpoint(path)
    try:
        state = unwrap(loaded, param_key)
        check_weights(state)
        return state
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def unwrap(loaded: Any, param_key: str | None = None) -> State:
    """The bare state dict of a loaded checkpoint: ``params``, ``params_ema``, MMagic's generator; without ``module.``.

    Args:
        loaded: a state dict, or a dict that holds one.
        param_key: which of them, where there is a choice; None for ``params`` before ``params_ema``.

    Raises:
        InputError: there is no state dict.
    """
    if not isinstance(loaded, Mapping):
        raise InputError(f"a {type(loaded).__name__}, expected a state dict")
    for key in (param_key, *PARAM_KEYS):
        if isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
            break
    else:
        if isinstance(loaded.get("state_dict"), Mapping):  # MMagic's: the network together with losses and counters
            prefix = "generator."
            loaded = {k.removeprefix(prefix): v for k, v in loaded["state_dict"].items() if k.startswith(prefix)}
    strange = [str(key) for key, value in loaded.items() if not (isinstance(key, str) and torch.is_tensor(value))]
    if strange or not loaded:
        raise InputError(f"not a state dict: {', '.join(strange[:5]) or 'empty'}; expected names with tensors")
    return {key.removeprefix("module."): value for key, value in loaded.items()}


def save_checkpoint(path: Path, checkpoint: dict) -> None:
    """Write a checkpoint, which appears when it is whole; named ``.safetensors`` it is of half precision.

    Raises:
        InputError: it cannot be written (full disk, no permission); nothing is left of it.
    """
    if path.suffix == SUFFIX:
        return save_half(path, checkpoint)
    # torch reports a failed write as OSError or RuntimeError
    with replaced(path) as temporary, write_errors(path, RuntimeError), temporary.open("wb") as file:
        torch.save(checkpoint, file)
