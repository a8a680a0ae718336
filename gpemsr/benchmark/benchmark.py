"""The benchmark: every method on one test set, row by row; finished ones are skipped."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import platform
import shlex
import shutil
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from tqdm import tqdm

from gpemsr import register
from gpemsr.benchmark.fingerprint import fingerprint, hash_of, hash_of_sources
from gpemsr.benchmark.options import HR, BenchmarkOptions, Method, slug
from gpemsr.benchmark.row import empty_row, run_row, stack_of
from gpemsr.benchmark.training_run import ignore_interrupts
from gpemsr.data.lmdb_files import section_key
from gpemsr.data.section_options import PairOptions
from gpemsr.data.section_pairs import SectionPairs
from gpemsr.data.section_store import open_section_store
from gpemsr.errors import InputError
from gpemsr.files import read_record, replaced
from gpemsr.metrics.measures import missing_measures
from gpemsr.segmentation.agglomeration import require
from gpemsr.segmentation.true_labels import read_labels
from gpemsr.volume.network import load_network

LIBRARIES = ("gpemsr", "basicsr", "torch", "torchvision", "numpy", "scipy", "scikit-image", "piq", "waterz")


class Benchmark:
    """Runs the rows of a :class:`BenchmarkOptions` and writes what the report is made of.

    ``<out>/benchmark.json`` with ``hr.tif``, ``lr.tif``, ``ids.tif``; ``<out>/rows/<slug>/row.json`` with ``sr.tif``
    and ``segmentation_*.tif``. A row is run again if anything that it depends on has changed, or if it has an error.

    Raises:
        InputError: a library is missing, the sections do not match, or a segmenter's weights are not its network's.
    """

    def __init__(self, options: BenchmarkOptions, file: str) -> None:
        missing_measures()  # raises what to install
        self.options, self.file, self.out = options, file, Path(options.out)
        self.store = open_section_store(options.data.dataroot_gt, options.data.io_backend.type)
        pairs = {"name": options.name, "type": "SectionPairs", "scale": options.scale, **options.data.model_dump()}
        SectionPairs(PairOptions.model_validate(pairs))  # raises if sections do not match
        sizes = {(info.height, info.width) for info in self.store.volumes.values()}
        if len(sizes) > 1:
            found = ", ".join(f"{height} x {width}" for height, width in sorted(sizes))
            raise InputError(f"{options.data.dataroot_gt}: sections of {found} pixels; expected volumes of one size")
        register()
        shared = [options.data.dataroot_gt, options.data.dataroot_lq]
        if options.segmentation is not None:
            require("waterz", "cc3d")
            shared.append(options.segmentation.ids)
            for segmenter in options.segmentation.segmenters:
                load_network(segmenter.options, segmenter.weights, "cpu")  # raises if the weights do not match
                shared += [segmenter.options, segmenter.weights]
        self.shared_hashes = {file: hash_of(file) for file in shared}
        self.versions = {"Python": platform.python_version()}
        for name in LIBRARIES:
            with contextlib.suppress(metadata.PackageNotFoundError):
                self.versions[name] = metadata.version(name)
        self.sources = hash_of_sources()

    def run(self) -> list[str]:
        """Run what is not finished; returns the errors, one line for each row that has one."""
        (self.out / "rows").mkdir(parents=True, exist_ok=True)
        for unfinished in (self.out / "rows").glob(".*.tmp-*"):
            shutil.rmtree(unfinished)
        self._write_common()
        methods: list[Method | None] = [*self.options.methods, *([None] if self.options.segmentation else [])]
        errors = []
        with tqdm(methods, desc=self.options.name, unit="row", disable=None) as bar:
            for method in bar:
                row = empty_row(method)
                bar.set_postfix_str(row["name"])
                if (error := self._run_row(row, method)) is not None:
                    errors.append(f"{row['name']}: {error}")
        return errors

    def _run_row(self, row: dict[str, Any], method: Method | None) -> str | None:
        """Run a row in a separate process unless it is finished; its error, if it has one."""
        file = self.out / "rows" / slug(row["name"]) / "row.json"
        files = [method.options, *method.trainings, *([method.weights] if method.weights else [])] if method else []
        hashes = {file: hash_of(file) for file in files}  # now: a training may have changed them
        of = self._of(method, hashes)
        known = read_record(file)
        if known.get("of") == of and known["error"] is None:
            return None
        # forked from a small server: a spawned process would inherit the peak memory of this one
        context = multiprocessing.get_context("forkserver")
        process = context.Process(target=run_row, args=(self.options, method, of, hashes))
        with ignore_interrupts():
            process.start()
        try:
            process.join()
        finally:
            if process.is_alive():
                process.terminate()
                process.join()
        known = read_record(file)
        if process.exitcode or known.get("of") != of:
            code = process.exitcode or 0
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            known = {**row, "error": f"its process ended with {how}; out of memory?"}
            file.parent.mkdir(exist_ok=True)
            with replaced(file) as temporary:
                temporary.write_text(json.dumps(known, indent=1))
        return known["error"]

    def _of(self, method: Method | None, hashes: Mapping[str, str]) -> str:
        """Fingerprint of what a row's figures depend on."""
        return fingerprint(
            {
                "method": method and method.model_dump(),
                "files": {**self.shared_hashes, **hashes},
                "segmentation": self.options.segmentation and self.options.segmentation.model_dump(),
                "scale": self.options.scale,
                "threads": self.options.threads,
                "machine": machine(),
                "versions": self.versions,
                "sources": self.sources,
            }
        )

    def _write_common(self) -> None:
        """Write ``benchmark.json`` and the stacks that all rows are compared with."""
        options, how = self.options, self.options.segmentation
        lr = open_section_store(options.data.dataroot_lq, options.data.io_backend.type)
        stacks = {"hr": stack_of(self.store), "lr": stack_of(lr)}
        if how is not None:
            labels = read_labels(how.ids, self.store, how.sections, how.ids_dataset, how.labels == "membranes")
            stacks["ids"] = labels.astype(np.uint32)
        for name, stack in stacks.items():
            with replaced(self.out / f"{name}.tif") as temporary:
                tifffile.imwrite(temporary, stack, compression="zlib", photometric="minisblack")
        sizes = {info.voxel_size for info in self.store.volumes.values()}
        z, _, x = next(iter(sizes)) or (None, None, None) if len(sizes) == 1 else (None, None, None)
        common = {
            **options.model_dump(include={"name", "title", "note", "show_sections", "scale", "threads"}),
            "pixel_size_nm": x,
            "section_nm": z,
            "command": f"gpemsr-benchmark -opt {shlex.quote(self.file)}",
            "versions": self.versions,
            "machine": machine(),
            "hashes": self.shared_hashes,
            "sections": [section_key(v, s) for v, info in self.store.volumes.items() for s in info.sections],
            "rows": [slug(method.name) for method in options.methods] + ([HR] if how else []),
            **{name: f"{name}.tif" for name in stacks},
            "segmented": list(how.sections or (0, len(stacks["hr"]))) if how else None,
            "segmenters": [segmenter.name for segmenter in how.segmenters] if how else [],
        }
        with replaced(self.out / "benchmark.json") as temporary:
            temporary.write_text(json.dumps(common, indent=1))


def machine() -> str:
    """The processor and its cores, or the GPU."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} cores, {models[0] if models else platform.processor() or platform.machine()}"
