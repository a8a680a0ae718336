"""The results in the folder of a benchmark: ``benchmark.json`` and ``rows/<slug>/row.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import tifffile
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gpemsr.errors import InputError

SUFFIXES = {"oracle": " (oracle)", "hr": " (reference)"}


class Record(BaseModel):
    """One JSON object; keys that the report does not show are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Training(Record):
    """Iterations of each stage, and what they cost."""

    iterations: dict[str, int] = {}
    core_minutes: float | None = None


class Row(Record):
    """One method, one oracle, or the HR sections themselves (``kind: hr``)."""

    slug: str
    name: str
    kind: Literal["method", "oracle", "hr"] = "method"
    error: str | None = None
    options: str | None = None
    weights: str | None = None
    hashes: dict[str, str] = {}
    training: Training | None = None
    parameters: int | None = None
    learned_parameters: int | None = None
    macs: int | None = None
    """Multiply-adds of one section."""
    seconds: list[float | None] = []
    """Seconds of each section."""
    peak_memory: int | None = None
    """Bytes."""
    scores: dict[str, list[float | None] | None] = {}
    """By measure, of each section; None where it was not taken."""
    missing: dict[str, str] = {}
    """Why a measure was not taken."""
    segmentation: dict[str, dict[str, float | None]] = {}
    """By segmenter: threshold and scores."""

    @property
    def label(self) -> str:
        """The name, and what kind of row it is unless it is a method."""
        return self.name + SUFFIXES.get(self.kind, "")


class Benchmark(Record):
    """What the rows have in common, and the rows in the order of the option file."""

    folder: Path
    name: str
    title: str
    scale: int = Field(gt=0)
    sections: list[str]
    rows: list[Row]
    note: str | None = None
    show_sections: bool = True
    pixel_size_nm: float | None = None
    section_nm: float | None = None
    command: str | None = None
    versions: dict[str, str] = {}
    threads: int | None = None
    machine: str | None = None
    hashes: dict[str, str] = {}
    hr: str | None = None
    lr: str | None = None
    ids: str | None = None
    segmented: tuple[int, int] | None = None
    """The first section that was segmented and the one after the last."""
    segmenters: list[str] = []

    @property
    def failed(self) -> list[Row]:
        """Rows without figures."""
        return [row for row in self.rows if row.error is not None]

    def finished(self, *kinds: str) -> list[Row]:
        """Rows with figures, of the first kind, of the second, and so on."""
        return [row for kind in kinds for row in self.rows if row.kind == kind and row.error is None]

    @property
    def scored(self) -> list[Row]:
        """Methods, then oracles, which use what a user does not have and do not compete."""
        return self.finished("method", "oracle")

    def stack(self, *path: str | None) -> np.ndarray | None:
        """The stack (z, y, x) of a TIFF in the benchmark's folder; None if it is absent or cannot be read."""
        try:
            stack = tifffile.imread(self.folder.joinpath(*path))  # type: ignore[arg-type]
        except (OSError, TypeError, ValueError, tifffile.TiffFileError):
            return None
        return stack[None] if stack.ndim == 2 else stack

    def super_resolved(self) -> dict[str, np.ndarray]:
        """Slug to the sections (z, y, x) of each scored row whose stack is there and of the size of the HR stack."""
        hr = self.stack(self.hr)
        found = {row.slug: self.stack("rows", row.slug, "sr.tif") for row in self.scored}
        return {k: sr for k, sr in found.items() if hr is not None and sr is not None and sr.shape == hr.shape}


def load_benchmark(folder: str | Path) -> Benchmark:
    """Read a benchmark's folder; a row that cannot be read becomes one with an error.

    Raises:
        InputError: ``benchmark.json`` is absent or not valid.
    """
    folder = Path(folder)
    path = folder / "benchmark.json"
    try:
        common = json.loads(path.read_text(encoding="utf-8"))
        rows = [_load_row(folder, slug, len(common["sections"])) for slug in common["rows"]]
        return Benchmark.model_validate({**common, "folder": folder, "rows": rows})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: {_reason(error)}") from None


def _load_row(folder: Path, slug: str, sections: int) -> Row:
    path = folder / "rows" / slug / "row.json"
    try:
        row = Row.model_validate({**json.loads(path.read_text(encoding="utf-8")), "slug": slug})
        for key, values in {"seconds": row.seconds, **row.scores}.items():
            if values and len(values) != sections and row.error is None:
                raise ValueError(f"{len(values)} values of {key}, {sections} sections")
    except (OSError, ValueError, TypeError) as error:
        return Row(slug=slug, name=slug, error=f"{path.name}: {_reason(error)}")
    return row


def _reason(error: Exception) -> str:
    """What is wrong with a file, in one line."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror}"
    return str(error) if isinstance(error, ValueError) else f"expected an object with sections and rows ({error!r})"
