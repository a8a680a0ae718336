"""One row of the benchmark, run in a process of its own: sections, scores, cost, segmentation."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from gpemsr.benchmark.options import (
    HR,
    BenchmarkOptions,
    Method,
    Segmentation,
    Segmenter,
    slug,
)
from gpemsr.data.degradations import Kind
from gpemsr.data.grey_values import eight_bits
from gpemsr.data.section_store import SectionStore, open_section_store
from gpemsr.errors import InputError
from gpemsr.files import replaced
from gpemsr.volume.section_loop import SectionNetwork, super_resolve_sections


def run_row(options: BenchmarkOptions, method: Method | None, of: str, hashes: Mapping[str, str]) -> None:
    """Make the folder ``rows/<slug>`` of a method, or of the HR sections themselves (None).

    The folder has its name only when it is complete. What goes wrong becomes the row's ``error``.

    Args:
        options: the benchmark's.
        method: the row.
        of: fingerprint of what the row depends on; recorded.
        hashes: of the row's own files; recorded.
    """
    rows = Path(options.out) / "rows"
    name = method.name if method else HR.upper()
    with replaced(rows / slug(name)) as folder:
        folder.mkdir(parents=True)
        try:
            row = Row(options, method, folder).run()
        except Exception as error:
            row = failed_row(name, method, error)
        (folder / "row.json").write_text(json.dumps({**row, "of": of, "hashes": hashes}, indent=1))


def failed_row(name: str, method: Method | None, error: Exception | str) -> dict[str, Any]:
    """The content of ``row.json`` where there are no figures."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, Exception) and not isinstance(error, ValueError | OSError):
        text = f"{type(error).__name__}: {text}"
    return {
        "name": name,
        "kind": kind_of(method),
        "error": text,
        "options": method.options if method else None,
        "weights": method.weights if method else None,
        "scores": {},
        "missing": {},
        "segmentation": {},
    }


def kind_of(method: Method | None) -> str:
    """``hr``, ``method`` or ``oracle``."""
    return HR if method is None else "oracle" if method.oracle else "method"


class Row:
    """What :func:`run_row` does, before it is put in place.

    Args:
        options: the benchmark's.
        method: the row; None for the HR sections.
        folder: where ``sr.tif`` and segmentations go.
    """

    def __init__(self, options: BenchmarkOptions, method: Method | None, folder: Path) -> None:
        from gpemsr import compat, register

        register()
        compat.apply()
        torch.set_num_threads(options.threads)
        self.options = options
        self.method = method
        self.folder = folder
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def run(self) -> dict[str, Any]:
        """The content of ``row.json``."""
        data = self.options.data
        store = open_section_store(data.dataroot_gt, data.io_backend.type)
        row = failed_row(self.method.name if self.method else HR.upper(), self.method, "")
        row["error"] = None
        if self.method is None:
            stack = stack_of(store)
        else:
            row["training"] = training_of(self.method.trainings)
            sizes = {info.voxel_size and info.voxel_size[2] for info in store.volumes.values()}
            pixel_size = sizes.pop() if len(sizes) == 1 else None
            lr = open_section_store(data.dataroot_lq, data.io_backend.type)
            kind = (lr.metadata.get("degradation") or {}).get("kind", "bicubic")
            stack, found = self.super_resolve(self.method, pixel_size, kind)
            row |= found
        if self.options.segmentation is not None:
            row["segmentation"] = dict(self.segment(self.options.segmentation, stack, store))
        return row

    def super_resolve(self, method: Method, pixel_size: float | None, kind: Kind) -> tuple[np.ndarray, dict[str, Any]]:
        """The HR stack (z, y, x) uint8 that a method makes, its scores and its cost."""
        from basicsr.data import build_dataset

        from gpemsr.benchmark.cost import count_macs, count_parameters, peak_memory
        from gpemsr.benchmark.resolvers import load_network, row_network
        from gpemsr.data.volumes.writer import TiffStackWriter
        from gpemsr.metrics.measures import MEASURES, measure_section, missing_measures

        net = load_network(method.options, method.weights, self.device)
        section = {"name": "test", "type": "SectionWindowTestDataset", "scale": self.options.scale, "phase": "test"}
        dataset = build_dataset({**section, **self.options.data.model_dump()})
        network = row_network(net, method, dataset, self.device)
        stacks = list(dataset.stacks.values())
        lq = [stack.window(range(len(stack))).to(self.device) for stack in stacks]
        next(super_resolve_sections(network, lq[0]))  # memory and libraries are at hand when the clock starts
        macs = count_macs(one_section, network, lq[0][:1])
        results, seconds = [], []
        with tqdm(total=len(dataset), desc=method.name, unit="section", leave=False, disable=None) as bar:
            for sections in lq:
                for sr, took in timed(super_resolve_sections(network, sections), self.device):
                    seconds.append(took)
                    results.append(eight_bits(sr[0, 0].float().cpu().numpy()))
                    bar.update()
        peak = peak_memory(self.device)  # before scoring, which takes memory too
        scores: dict[str, list[float | None]] = {name: [] for name in MEASURES}
        places = [(stack, index) for stack in stacks for index in range(len(stack))]
        for result, (stack, index) in zip(results, places, strict=True):
            gt, lr = (eight_bits(x[0].numpy()) for x in (stack.gt(index), stack[index]))
            found = measure_section(result, gt, lr, self.options.scale, pixel_size or 1.0, kind)
            for name in MEASURES:
                scores[name].append(found[name])
        missing = missing_measures(results[0].shape, kind)
        if pixel_size is None:
            scores["frc_nm"] = [None]
            missing["frc_nm"] = "needs the voxel size, which the test set does not record"
        stack = np.stack(results)
        with TiffStackWriter(self.folder / "sr.tif", stack.shape, stack.dtype) as sink:
            for image in stack:
                sink.write(image)
        return stack, {
            "parameters": count_parameters(net),
            "learned_parameters": count_parameters(net, learned_only=True),
            "macs": macs,
            "seconds": seconds,
            "peak_memory": peak,
            "scores": {name: None if set(values) == {None} else values for name, values in scores.items()},
            "missing": missing,
        }

    def segment(self, options: Segmentation, stack: np.ndarray, store: Any) -> Iterator[tuple[str, dict[str, float]]]:
        """(Segmenter, scores at its best threshold); the segmentation is stored."""
        import tifffile

        from gpemsr.segmentation.agglomeration import best_segmentation
        from gpemsr.segmentation.true_labels import read_labels

        by_section = options.labels == "membranes"
        labels = read_labels(options.ids, store, options.sections, options.ids_dataset, by_section)
        start, stop = options.sections or (0, len(stack))
        raw = stack[start:stop].astype(np.float32) / 255
        for segmenter in options.segmenters:
            affinities = predict(segmenter, raw, self.device)
            figures, found = best_segmentation(
                affinities, labels, options.thresholds, options.fragments, options.seed_distance, by_section
            )
            if by_section:
                from gpemsr.segmentation.membranes import membrane_f1

                figures["membrane_f1"] = membrane_f1(affinities, labels)
            file = self.folder / f"segmentation_{slug(segmenter.name)}.tif"
            tifffile.imwrite(file, found.astype(np.uint32), compression="zlib", photometric="minisblack")
            yield segmenter.name, figures


def one_section(network: SectionNetwork, lq: torch.Tensor) -> torch.Tensor:
    """What a section costs along a stack: one section (1, 1, h, w) is encoded and one window reconstructed."""
    encoded = network.encode_sections(lq[None])
    return network.reconstruct(type(encoded).cat([encoded] * network.num_frame))


def timed(results: Iterator[torch.Tensor], device: torch.device) -> Iterator[tuple[torch.Tensor, float]]:
    """Each result and the seconds that it took."""
    while True:
        synchronize(device)
        start = time.perf_counter()
        result = next(results, None)
        if result is None:
            return
        synchronize(device)
        yield result, time.perf_counter() - start


def predict(segmenter: Segmenter, raw: np.ndarray, device: torch.device) -> np.ndarray:
    """Affinities (3, z, y, x) of a stack (z, y, x) in [0, 1]."""
    from gpemsr.benchmark.resolvers import load_network
    from gpemsr.options.read import read_options
    from gpemsr.segmentation.prediction import BLOCK, CONTEXT, predict_affinities

    net = load_network(segmenter.options, segmenter.weights, device)
    val = read_options(segmenter.options).get("val") or {}
    return predict_affinities(net, torch.from_numpy(raw), val.get("block", BLOCK), val.get("context", CONTEXT))


def training_of(records: list[str]) -> dict[str, Any] | None:
    """Iterations and core-minutes of the records of ``gpemsr-benchmark-train``.

    Raises:
        InputError: a record is absent or not valid.
    """
    iterations, core_minutes = {}, 0.0
    for record in records:
        try:
            found = json.loads(Path(record).read_text())
            iterations[Path(record).stem] = int(found["iterations"])
            core_minutes += float(found["core_minutes"])
        except (OSError, ValueError, TypeError, KeyError):
            raise InputError(f"{record}: expected a record of gpemsr-benchmark-train") from None
    return {"iterations": iterations, "core_minutes": core_minutes} if records else None


def stack_of(store: SectionStore) -> np.ndarray:
    """All sections of all volumes, (z, y, x) uint8."""
    sections = [store.read_float(v, s) for v, info in store.volumes.items() for s in info.sections]
    return np.stack([eight_bits(section) for section in sections])


def synchronize(device: torch.device) -> None:
    """Wait for what runs on a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
