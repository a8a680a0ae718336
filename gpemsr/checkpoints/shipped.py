"""What ``--weights`` may be: a network that the package brings (``fib25-x8``), a file, or a URL with its checksum."""

from __future__ import annotations

import os
import re
from importlib.resources import files
from pathlib import Path

from gpemsr.errors import InputError
from gpemsr.files import exclusive, sha256

# name -> SHA-256 of gpemsr/weights/<name>.safetensors; <name>.md next to it is its model card
SHIPPED = {"fib25-x8": "dc42953af35342b16db75deeee9bebab54ce19b351c339f07eac408e4cb8e277"}

WEIGHTS_HELP = f"checkpoint, its URL with a checksum (https://...#sha256=...), or {', '.join(SHIPPED)}"
URL = re.compile(r"(.+/([^/?#]+\.(?:pth|safetensors))(?:\?[^#]*)?)#sha256=([0-9a-fA-F]{64})")
RETRIES = 2  # attempts after one that transferred nothing


def weights_file(weights: str | Path) -> Path:
    """The file of a network that the package brings, of one that is downloaded, or ``weights`` as the path that it is.

    Raises:
        InputError: neither a name nor a file, the package's file is damaged, or the download failed.
    """
    name = str(weights)
    if name.startswith(("http://", "https://")):
        return _downloaded(name)
    if name not in SHIPPED:
        if not Path(name).expanduser().is_file():
            raise InputError(f"{name}: no such file; a checkpoint is expected, or one of {', '.join(SHIPPED)}")
        return Path(name).expanduser()
    path = Path(str(files("gpemsr"))) / "weights" / f"{name}.safetensors"
    if not path.is_file() or sha256(path) != SHIPPED[name]:
        raise InputError(f"{path}: absent or damaged; install the package again")
    return path


def _downloaded(url: str) -> Path:
    """The file at a URL that ends in ``#sha256=...``; it is fetched once, into ``$XDG_CACHE_HOME/gpemsr``."""
    if not (match := URL.fullmatch(url)):
        raise InputError(f"{url}: expected https://host/path/name.safetensors#sha256=<64 hexadecimal digits>")
    address, name, checksum = match[1], match[2], match[3].lower()
    path = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "gpemsr" / checksum[:16] / name
    if not path.is_file() or sha256(path) != checksum:
        from gpemsr.data.download import fetch

        with exclusive(path, "is fetching it"):
            fetch(address, path, checksum, RETRIES)
    return path
