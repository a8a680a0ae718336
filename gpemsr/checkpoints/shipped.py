"""Networks that the package brings, by name: ``--weights fib25-x8``."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from gpemsr.errors import InputError
from gpemsr.files import sha256

# name -> SHA-256 of gpemsr/weights/<name>.safetensors; <name>.md beside it is its model card
SHIPPED = {"fib25-x8": "ecf0d4b78e589b5d096602e37cabfefe82b2006ce70651ea85343be027d0f4f8"}


def weights_file(weights: str | Path) -> Path:
    """The file of a network that the package brings, or ``weights`` as the path that it is.

    Raises:
        InputError: neither a name nor a file, or the package's file is damaged.
    """
    name = str(weights)
    if name not in SHIPPED:
        if not Path(name).expanduser().is_file():
            raise InputError(f"{name}: no such file; a checkpoint is expected, or one of {', '.join(SHIPPED)}")
        return Path(name).expanduser()
    path = Path(str(files("gpemsr"))) / "weights" / f"{name}.safetensors"
    if not path.is_file() or sha256(path) != SHIPPED[name]:
        raise InputError(f"{path}: absent or damaged; install the package again")
    return path
