"""What ``--weights`` may be: a network that the package brings (``fib25-x8``), a file, or a URL with its checksum."""

from __future__ import annotations

import os
import re
from importlib.resources import files
from pathlib import Path

from gpemsr.data.download import fetch
from gpemsr.errors import InputError
from gpemsr.files import sha256

# name -> SHA-256 of gpemsr/weights/<name>.safetensors; <name>.md next to it is its model card
SHIPPED = {"fib25-x8": "dc42953af35342b16db75deeee9bebab54ce19b351c339f07eac408e4cb8e277"}

WEIGHTS_HELP = f"checkpoint, its URL with a checksum (https://...#sha256=...), or {', '.join(SHIPPED)}"
URL = re.compile(r"(.+/([^/?#]+\.(?:pth|safetensors))(?:\?[^#]*)?)#sha256=([0-9a-fA-F]{64})")


def check_weights(weights: str | Path) -> None:
    """Raise :class:`InputError` for what :func:`weights_file` cannot take; nothing is downloaded."""
    name = str(weights)
    if _is_url(name):
        if not URL.fullmatch(name):
            raise InputError(f"{name}: expected https://host/path/name.safetensors#sha256=<64 hexadecimal digits>")
    elif name not in SHIPPED and not Path(name).expanduser().is_file():
        raise InputError(f"{name}: no such file; a checkpoint is expected, or one of {', '.join(SHIPPED)}")


def weights_file(weights: str | Path) -> Path:
    """The file of a network that the package brings, of one that is downloaded, or ``weights`` as the path that it is.

    Raises:
        InputError: as :func:`check_weights`, the package's file is damaged, or the download failed.
    """
    check_weights(weights)
    name = str(weights)
    if _is_url(name):
        return _downloaded(name)
    if name not in SHIPPED:
        return Path(name).expanduser()
    path = Path(str(files("gpemsr"))) / "weights" / f"{name}.safetensors"
    if not path.is_file() or sha256(path) != SHIPPED[name]:
        raise InputError(f"{path}: absent or damaged; install the package again")
    return path


def _is_url(name: str) -> bool:
    return name.startswith(("http://", "https://"))


def _downloaded(url: str) -> Path:
    """The file at a URL that ends in ``#sha256=...``; it is fetched once, into ``$XDG_CACHE_HOME/gpemsr``."""
    address, name, checksum = URL.fullmatch(url).groups()  # type: ignore[union-attr]
    checksum = checksum.lower()
    path = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "gpemsr" / checksum[:16] / name
    if not path.is_file() or sha256(path) != checksum:
        fetch(address, path, checksum)
    return path
