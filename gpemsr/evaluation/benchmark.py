"""The benchmark: every method on one test set, row by row; what is finished is not done again."""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import shlex
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from tqdm import tqdm

from gpemsr.data.section_options import PairOptions
from gpemsr.data.section_pairs import SectionPairs
from gpemsr.data.section_store import open_section_store
from gpemsr.errors import InputError
from gpemsr.evaluation.benchmark_options import HR, BenchmarkOptions, Method, slug
from gpemsr.evaluation.benchmark_row import failed_row, run_row, stack_of
from gpemsr.evaluation.equal_budget import fingerprint
from gpemsr.evaluation.measures import missing_measures
from gpemsr.evaluation.segmentation import require
from gpemsr.files import replaced, sha256

LIBRARIES = ("gpemsr", "basicsr", "torch", "torchvision", "numpy", "scipy", "scikit-image", "piq", "waterz")


class Benchmark:
    """Runs the rows of a :class:`BenchmarkOptions` and writes what the report is made of.

    ``<out>/benchmark.json`` with ``hr.tif``, ``lr.tif``, ``ids.tif``; ``<out>/rows/<slug>/row.json`` with ``sr.tif``
    and ``segmentation_*.tif``. A row is done again if anything that it depends on has changed, or if it has an error.

    Args:
        options: what to compare.
        file: the option file, for the report.

    Raises:
        InputError: a library is missing, or the sections do not match.
    """

    def __init__(self, options: BenchmarkOptions, file: str) -> None:
        missing_measures()  # says what to install
        if options.segmentation is not None:
            require("waterz", "cc3d")
        self.options = options
        self.file = file
        self.out = Path(options.out)
        self._known_hashes: dict[str, str] = {}
        self.store = open_section_store(options.data.dataroot_gt, options.data.io_backend.type)
        pairs = {"name": options.name, "type": "SectionPairs", "scale": options.scale, **options.data.model_dump()}
        SectionPairs(PairOptions.model_validate(pairs))  # says what does not match
        sizes = {(info.height, info.width) for info in self.store.volumes.values()}
        if len(sizes) > 1:
            found = ", ".join(f"{height} x {width}" for height, width in sorted(sizes))
            raise InputError(f"{options.data.dataroot_gt}: sections of {found} pixels; volumes of one size fit")

    def run(self) -> list[str]:
        """Run what is not finished; returns the errors, one line for each row that has one."""
        (self.out / "rows").mkdir(parents=True, exist_ok=True)
        for unfinished in (self.out / "rows").glob(".*.tmp-*"):
            shutil.rmtree(unfinished)
        self._write_common()
        methods: list[Method | None] = list(self.options.methods)
        if self.options.segmentation is not None:
            methods.append(None)
        errors = []
        with tqdm(methods, desc=self.options.name, unit="row", disable=None) as bar:
            for method in bar:
                name = method.name if method else HR.upper()
                bar.set_postfix_str(name)
                if (error := self._run_row(name, method)) is not None:
                    errors.append(f"{name}: {error}")
        return errors

    def _run_row(self, name: str, method: Method | None) -> str | None:
        """Run a row in a process of its own unless it is finished; its error, if it has one."""
        folder = self.out / "rows" / slug(name)
        of = self._of(method)
        row = _read(folder / "row.json")
        if row is not None and row.get("of") == of and row["error"] is None:
            return None
        process = multiprocessing.get_context("spawn").Process(target=run_row, args=(self.options, method, of))
        process.start()
        try:
            process.join()
        finally:
            if process.is_alive():
                process.terminate()
                process.join()
        row = _read(folder / "row.json")
        if process.exitcode or row is None or row.get("of") != of:
            code = process.exitcode or 0
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            folder.mkdir(exist_ok=True)
            row = failed_row(name, method, f"its process ended by {how}; too little memory?")
            with replaced(folder / "row.json") as temporary:
                temporary.write_text(json.dumps(row, indent=1))
        return row["error"]

    def _of(self, method: Method | None) -> str:
        """What a row's figures depend on, in one word."""
        depends = {
            "method": method.model_dump() if method else None,
            "files": self._hashes(method),
            "segmentation": self.options.segmentation.model_dump() if self.options.segmentation else None,
            "scale": self.options.scale,
            "threads": self.options.threads,
            "gpemsr": metadata.version("gpemsr"),
        }
        return fingerprint(depends)

    def _hashes(self, method: Method | None) -> dict[str, str]:
        """SHA-256 of the files of a row and of what all rows share."""
        data, segmentation = self.options.data, self.options.segmentation
        files = [data.dataroot_gt, data.dataroot_lq]
        if method is not None:
            files += [method.options, *method.trainings, *([method.weights] if method.weights else [])]
        if segmentation is not None:
            files += [segmentation.ids, *(f for s in segmentation.segmenters for f in (s.options, s.weights))]
        for file in files:
            if file not in self._known_hashes:
                self._known_hashes[file] = hash_of(file)
        return {file: self._known_hashes[file] for file in files}

    def _write_common(self) -> None:
        """Write ``benchmark.json`` and the stacks that all rows are compared with."""
        options, segmentation = self.options, self.options.segmentation
        lr = open_section_store(options.data.dataroot_lq, options.data.io_backend.type)
        stacks = {"hr": stack_of(self.store), "lr": stack_of(lr)}
        if segmentation is not None:
            from gpemsr.evaluation.true_labels import read_labels

            stacks["ids"] = read_labels(segmentation, self.store).astype(np.uint32)
        for name, stack in stacks.items():
            with replaced(self.out / f"{name}.tif") as temporary:
                tifffile.imwrite(temporary, stack, compression="zlib", photometric="minisblack")
        sizes = {info.voxel_size for info in self.store.volumes.values()}
        z, _, x = next(iter(sizes)) or (None, None, None) if len(sizes) == 1 else (None, None, None)
        hashes = self._hashes(None)
        for method in options.methods:
            hashes |= self._hashes(method)
        common = {
            "name": options.name,
            "title": options.title,
            "note": options.note,
            "show_sections": options.show_sections,
            "scale": options.scale,
            "pixel_size_nm": x,
            "section_nm": z,
            "command": f"gpemsr-benchmark -opt {shlex.quote(self.file)}",
            "versions": {
                "Python": platform.python_version(),
                **{name: version for name in LIBRARIES if (version := _version(name))},
            },
            "threads": options.threads,
            "machine": machine(),
            "hashes": hashes,
            "sections": [f"{v}/{s:08d}" for v, info in self.store.volumes.items() for s in info.sections],
            "rows": [slug(m.name) for m in options.methods] + ([HR] if segmentation else []),
            "hr": "hr.tif",
            "lr": "lr.tif",
            "ids": "ids.tif" if segmentation else None,
            "segmented": list(segmentation.sections or (0, len(stacks["hr"]))) if segmentation else None,
            "segmenters": [segmenter.name for segmenter in segmentation.segmenters] if segmentation else [],
        }
        with replaced(self.out / "benchmark.json") as temporary:
            temporary.write_text(json.dumps(common, indent=1))


def hash_of(path: str | Path) -> str:
    """SHA-256 of a file, or of the files of a folder in the order of their names; ``absent`` if there is none."""
    path = Path(path)
    if not path.exists():
        return "absent"
    if path.is_file():
        return sha256(path)
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.name != "lock.mdb")
    return fingerprint({str(file.relative_to(path)): sha256(file) for file in files})


def machine() -> str:
    """The processor and its cores, or the GPU."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].partition(":")[2].strip() if lines else model
    return f"{os.cpu_count()} cores, {model}"


def _read(file: Path) -> dict[str, Any] | None:
    """A JSON file; None if it is absent or damaged."""
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        return None


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None
