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

from gpemsr.data.volumes.nodes import is_remote
from gpemsr.data.volumes.volume import Opening, Volume, reason
from gpemsr.errors import InputError


@dataclass(frozen=True)
class VolumeFormat:
    """A format of volumes.

    Attributes:
        suffixes: of its files or folders, in lower case, with the dot; none for a folder of any name.
        reader: makes a :class:`Volume` with voxels of any type; what it raises is reported in one line.
        matches: whether a path is of this format; by default a file with one of the suffixes.
        has_levels: whether ``Opening.level`` chooses a level of a pyramid.
        has_datasets: whether ``Opening.dataset`` names one of several volumes in a file.
        create: ``(path, shape, dtype, voxel_size, **metadata)`` of :func:`create_volume` -> a writer such as
            :class:`~gpemsr.data.volumes.writer.TiffStackWriter`; None for a format that is only read.
    """

    suffixes: tuple[str, ...]
    reader: Callable[[Any, Opening], Volume]
    matches: Callable[[Any], bool] | None = None
    has_datasets: bool = False
    has_levels: bool = False
    create: Callable[..., Any] | None = None

    def reads(self, path: Path | str) -> bool:
        """Whether an existing path, or an address, is of this format."""
        if self.matches:
            return self.matches(path)
        return isinstance(path, Path) and path.is_file() and path.suffix.lower() in self.suffixes

    def open(self, path: Path | str, opening: Opening) -> Volume:
        """Open a volume. Raises :class:`InputError`, whatever its library raises."""
        if opening.dataset is not None and not self.has_datasets:
            raise InputError(f"{path}: has no data sets, so --dataset {opening.dataset} cannot be read")
        if opening.level is not None and not self.has_levels:
            raise InputError(f"{path}: has no levels, so --level {opening.level} cannot be read")
        try:
            return self.reader(path, opening)
        except InputError:
            raise
        except ModuleNotFoundError as error:
            raise InputError(f"{path}: needs {error.name}; pip install gpemsr[formats]") from None
        except Exception as error:  # each library raises its own
            raise InputError(f"{path}: cannot be read ({reason(error)})") from None


@functools.cache
def formats() -> tuple[VolumeFormat, ...]:
    """The formats of all modules of this package; those without a suffix, which take any folder, are the last."""
    package = __package__ or ""
    names = [module.name for module in pkgutil.iter_modules(importlib.import_module(package).__path__)]
    modules = [importlib.import_module(f"{package}.{name}") for name in sorted(names)]
    found = [module.FORMAT for module in modules if hasattr(module, "FORMAT")]
    return tuple(sorted(found, key=lambda form: not form.suffixes))


def volume_path(text: str | Path) -> Path | str:
    """A path, or the address of a store (http, s3, gs) as it is."""
    return str(text) if is_remote(text) else Path(text)


def format_of(path: Path | str) -> VolumeFormat:
    """The format of an existing file or folder. Raises :class:`InputError` if it is absent or of no known format."""
    if isinstance(path, Path) and not path.exists():
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
    **metadata: Any,
) -> Any:
    """A writer of the format that the suffix of ``path`` names: a context manager with ``write(section)``.

    Args:
        shape: (z, y, x) of the stack.
        voxel_size: (z, y, x) in nm, or None if unknown.
        metadata: ``translation``, (z, y, x) in nm of the first voxel's centre, and ``note``, how the volume was made;
            what a format has no place for is left out.

    Raises:
        InputError: a suffix that no format is written with, or what the writer refuses.
    """
    path = Path(path)
    if path.suffix.lower() not in writable():
        raise InputError(f"{path}: not a format that is written; expected {', '.join(writable())}")
    return writable()[path.suffix.lower()](path, shape, dtype, voxel_size, **metadata)


def writable() -> dict[str, Callable[..., Any]]:
    """``create`` of the formats that are written, by suffix."""
    return {suffix: form.create for form in formats() if form.create for suffix in form.suffixes}
