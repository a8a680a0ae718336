"""The registry of the formats that volumes are read from and written to.

A module of this package that knows a format holds it as ``FORMAT``: a new format is one new module.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpemsr.data.volumes.volume import Volume
from gpemsr.errors import InputError


@dataclass(frozen=True)
class VolumeFormat:
    """A format of volumes.

    Attributes:
        suffixes: of its files or folders, in lower case, with the dot; none for a folder of any name.
        open: ``(path, dataset, on_missing)`` -> a :class:`Volume` with voxels of any type.
        matches: whether a path is of this format; by default a file with one of the suffixes.
        has_datasets: whether ``dataset`` names one of several volumes in a file.
        create: ``(path, shape, dtype, voxel_size)`` -> a writer such as
            :class:`~gpemsr.data.volumes.writer.TiffStackWriter`; None for a format that is only read.
    """

    suffixes: tuple[str, ...]
    open: Callable[[Path, str | None, str], Volume]
    matches: Callable[[Path], bool] | None = None
    has_datasets: bool = False
    create: Callable[..., Any] | None = None

    def reads(self, path: Path) -> bool:
        """Whether an existing path is of this format."""
        return self.matches(path) if self.matches else path.is_file() and path.suffix.lower() in self.suffixes


@functools.cache
def formats() -> tuple[VolumeFormat, ...]:
    """The formats of all modules of this package; those without a suffix, which take any folder, are the last."""
    package = __package__ or ""
    names = [module.name for module in pkgutil.iter_modules(importlib.import_module(package).__path__)]
    modules = [importlib.import_module(f"{package}.{name}") for name in sorted(names)]
    found = [module.FORMAT for module in modules if hasattr(module, "FORMAT")]
    return tuple(sorted(found, key=lambda form: not form.suffixes))


def format_of(path: Path) -> VolumeFormat:
    """The format of an existing file or folder. Raises :class:`InputError` if it is absent or of no known format."""
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    for form in formats():
        if form.reads(path):
            return form
    suffixes = ", ".join(suffix for form in formats() for suffix in form.suffixes)
    raise InputError(f"{path}: not a format that is read; expected {suffixes} or a folder of section images")


def create_volume(
    path: str | Path,
    shape: tuple[int, int, int],
    dtype: Any,
    voxel_size: tuple[float, float, float] | None = None,
) -> Any:
    """A writer of the format that the suffix of ``path`` names: a context manager with ``write(section)``.

    Args:
        path: the file to make.
        shape: (z, y, x) of the stack.
        dtype: ``uint8`` or ``uint16``.
        voxel_size: (z, y, x) in nm, or None if unknown.

    Raises:
        InputError: a suffix that no format is written with, or what the writer refuses.
    """
    path = Path(path)
    writers = {suffix: form.create for form in formats() if form.create for suffix in form.suffixes}
    if path.suffix.lower() not in writers:
        raise InputError(f"{path}: not a format that is written; expected {', '.join(writers)}")
    return writers[path.suffix.lower()](path, shape, dtype, voxel_size)
