"""The benchmark: every method on one test set, row by row; finished ones are skipped."""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import shlex
import shutil
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import numpy as np
import tifffile
from tqdm import tqdm

from gpemsr import register
from gpemsr.benchmark.fingerprint import fingerprint, hash_of, hash_of_sources
from gpemsr.benchmark.options import HR, BenchmarkOptions, Method, slug
from gpemsr.benchmark.resolvers import load_network
from gpemsr.benchmark.row import failed_row, run_row, stack_of
from gpemsr.benchmark.training_run import ignore_interrupts
from gpemsr.data.section_options import PairOptions
from gpemsr.data.section_pairs import SectionPairs
from gpemsr.data.section_store import open_section_store
from gpemsr.errors import InputError
from gpemsr.files import read_record, replaced
from gpemsr.metrics.measures import missing_measures
from gpemsr.segmentation.agglomeration import require

LIBRARIES = ("gpemsr", "basicsr", "torch", "torchvision", "numpy", "scipy", "scikit-image", "piq", "waterz")


class Benchmark:
    """Runs the rows of a :class:`BenchmarkOptions` and writes what the report is made of.

    ``<out>/benchmark.json`` with ``hr.tif``, ``lr.tif``, ``ids.tif``; ``<out>/rows/<slug>/row.json`` with ``sr.tif``
    and ``segmentation_*.tif``. A row is run again if anything that it depends on has changed, or if it has an error.

    Args:
        options: what to compare.
        file: the option file, for the report.

    Raises:
        InputError: a library is missing, the sections do not match, or a segmenter's weights are not its network's.
    """

    def __init__(self, options: BenchmarkOptions, file: str) -> None:
        missing_measures()  # raises what to install
        if options.segmentation is not None:
            require("waterz", "cc3d")
        self.options = options
        self.file = file
        self.out = Path(options.out)
        self.store = open_section_store(options.data.dataroot_gt, options.data.io_backend.type)
        pairs = {"name": options.name, "type": "SectionPairs", "scale": options.scale, **options.data.model_dump()}
        SectionPairs(PairOptions.model_validate(pairs))  # raises if sections do not match
        sizes = {(info.height, info.width) for info in self.store.volumes.values()}
        if len(sizes) > 1:
            found = ", ".join(f"{height} x {width}" for height, width in sorted(sizes))
            raise InputError(f"{options.data.dataroot_gt}: sections of {found} pixels; expected volumes of one size")
        register()
        segmenters = options.segmentation.segmenters if options.segmentation else []
        for segmenter in segmenters:
            load_network(segmenter.options, segmenter.weights, "cpu")  # raises if the weights do not match
        shared = [options.data.dataroot_gt, options.data.dataroot_lq]
        shared += [file for segmenter in segmenters for file in (segmenter.options, segmenter.weights)]
        shared += [options.segmentation.ids] if options.segmentation else []
        self.shared_hashes = {file: hash_of(file) for file in shared}
        self.versions = {"Python": platform.python_version()}
        self.versions |= {name: version for name in LIBRARIES if (version := _version(name))}
        self.sources = hash_of_sources()

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
        files = [method.options, *method.trainings, *([method.weights] if method.weights else [])] if method else []
        hashes = {file: hash_of(file) for file in files}  # now: a training may have changed them
        of = self._of(method, hashes)
        row = read_record(folder / "row.json")
        if row.get("of") == of and row["error"] is None:
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
        row = read_record(folder / "row.json")
        if process.exitcode or row.get("of") != of:
            code = process.exitcode or 0
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            folder.mkdir(exist_ok=True)
            row = failed_row(name, method, f"its process ended by {how}; too little memory?")
            with replaced(folder / "row.json") as temporary:
                temporary.write_text(json.dumps(row, indent=1))
        return row["error"]

    def _of(self, method: Method | None, hashes: Mapping[str, str]) -> str:
        """Fingerprint of what a row's figures depend on."""
        depends = {
            "method": method.model_dump() if method else None,
            "files": {**self.shared_hashes, **hashes},
            "segmentation": self.options.segmentation.model_dump() if self.options.segmentation else None,
            "scale": self.options.scale,
            "threads": self.options.threads,
            "machine": machine(),
            "versions": self.versions,
            "sources": self.sources,
        }
        return fingerprint(depends)

    def _write_common(self) -> None:
        """Write ``benchmark.json`` and the stacks that all rows are compared with."""
        options, segmentation = self.options, self.options.segmentation
        lr = open_section_store(options.data.dataroot_lq, options.data.io_backend.type)
        stacks = {"hr": stack_of(self.store), "lr": stack_of(lr)}
        if segmentation is not None:
            from gpemsr.segmentation.true_labels import read_labels

            by_section = segmentation.labels == "membranes"
            labels = read_labels(
                segmentation.ids, self.store, segmentation.sections, segmentation.ids_dataset, by_section
            )
            stacks["ids"] = labels.astype(np.uint32)
        for name, stack in stacks.items():
            with replaced(self.out / f"{name}.tif") as temporary:
                tifffile.imwrite(temporary, stack, compression="zlib", photometric="minisblack")
        sizes = {info.voxel_size for info in self.store.volumes.values()}
        z, _, x = next(iter(sizes)) or (None, None, None) if len(sizes) == 1 else (None, None, None)
        common = {
            "name": options.name,
            "title": options.title,
            "note": options.note,
            "show_sections": options.show_sections,
            "scale": options.scale,
            "pixel_size_nm": x,
            "section_nm": z,
            "command": f"gpemsr-benchmark -opt {shlex.quote(self.file)}",
            "versions": self.versions,
            "threads": options.threads,
            "machine": machine(),
            "hashes": self.shared_hashes,
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


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None
