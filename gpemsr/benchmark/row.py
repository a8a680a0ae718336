"""One row of the benchmark, run in a separate process: sections, scores, cost, segmentation."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from tqdm import tqdm

from gpemsr import compat, register
from gpemsr.benchmark.cost import count_macs, count_parameters, peak_memory
from gpemsr.benchmark.networks import row_network
from gpemsr.benchmark.options import HR, BenchmarkOptions, Method, Segmenter, slug
from gpemsr.data.grey_values import eight_bits
from gpemsr.data.lmdb_files import section_key
from gpemsr.data.section_store import SectionStore, open_section_store
from gpemsr.errors import InputError, InputWarning, one_line
from gpemsr.files import replaced
from gpemsr.metrics.blank import is_blank, left_out_text
from gpemsr.metrics.measures import MEASURES, measure_section, missing_measures
from gpemsr.options.read import read_options
from gpemsr.segmentation.agglomeration import Agglomeration
from gpemsr.segmentation.membranes import membrane_f1
from gpemsr.segmentation.prediction import BLOCK, CONTEXT, predict_affinities
from gpemsr.segmentation.true_labels import read_labels
from gpemsr.volume.network import load_network
from gpemsr.volume.section_loop import one_section, super_resolve_sections


def run_row(options: BenchmarkOptions, method: Method | None, of: str, hashes: Mapping[str, str]) -> None:
    """Make the folder ``rows/<slug>`` of a method, or of the HR sections themselves (None).

    The folder has its name only when it is complete. What goes wrong becomes the row's ``error``.

    Args:
        of: fingerprint of what the row depends on; recorded.
        hashes: of the row's own files; recorded.
    """
    row = empty_row(method)
    with replaced(Path(options.out) / "rows" / slug(row["name"])) as folder:
        folder.mkdir(parents=True)
        try:
            register()
            compat.apply()
            torch.set_num_threads(options.threads)
            row |= figures(options, method, folder)
        except Exception as error:
            kind = "" if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: "
            row["error"] = f"{kind}{one_line(error)}"
        (folder / "row.json").write_text(json.dumps({**row, "of": of, "hashes": hashes}, indent=1))


def empty_row(method: Method | None) -> dict[str, Any]:
    """The content of ``row.json`` without figures."""
    return {
        "name": method.name if method else HR.upper(),
        "kind": HR if method is None else "oracle" if method.oracle else "method",
        "error": None,
        "options": method and method.options,
        "weights": method and method.weights,
        "scores": {},
        "missing": {},
        "segmentation": {},
    }


def figures(options: BenchmarkOptions, method: Method | None, folder: Path) -> dict[str, Any]:
    """The figures of a row; its sections and segmentations go to ``folder``."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    store = open_section_store(options.data.dataroot_gt, options.data.io_backend.type)
    found: dict[str, Any] = {}
    if method is None:
        stack = stack_of(store)
    else:
        found["training"] = training_of(method.trainings)
        stack, scored = super_resolve(options, method, store, device)
        found |= scored
        tifffile.imwrite(folder / "sr.tif", stack, compression="zlib", photometric="minisblack")
    if options.segmentation is not None:
        found["segmentation"] = segmentations(options, stack, store, folder, device)
    return found


def super_resolve(
    options: BenchmarkOptions, method: Method, store: SectionStore, device: torch.device
) -> tuple[np.ndarray, dict[str, Any]]:
    """The HR stack (z, y, x) uint8 that a method makes, its scores and its cost."""
    from basicsr.data import build_dataset

    net = load_network(method.options, method.weights, device)
    section = {"name": "test", "type": "SectionWindowTestDataset", "scale": options.scale, "phase": "test"}
    stacks = list(build_dataset({**section, **options.data.model_dump()}).stacks.values())
    network = row_network(net, method, stacks, device)
    lq = [stack.window(range(len(stack))).to(device) for stack in stacks]
    next(super_resolve_sections(network, lq[0]))  # memory and libraries are at hand when the clock starts
    macs = count_macs(one_section, network, lq[0][:1])
    results, seconds = [], []
    with tqdm(total=sum(map(len, lq)), desc=method.name, unit="section", leave=False, disable=None) as bar:
        for sections in lq:
            for sr, took in timed(super_resolve_sections(network, sections), device):
                seconds.append(took)
                results.append(eight_bits(sr[0, 0].float().cpu().numpy()))
                bar.update()
    peak = peak_memory(device)  # before scoring, which takes memory too
    pixel_size = pixel_size_of(store)
    lr_store = open_section_store(options.data.dataroot_lq, options.data.io_backend.type)
    kind = (lr_store.metadata.get("degradation") or {}).get("kind", "bicubic")
    scores: dict[str, list[float | None]] = {name: [] for name in MEASURES}
    places = [(stack, index) for stack in stacks for index in range(len(stack))]
    for image, (stack, index) in zip(results, places, strict=True):
        gt, lr = (eight_bits(section[0].numpy()) for section in (stack.gt(index), stack[index]))
        for name, value in measure_section(image, gt, lr, options.scale, pixel_size or 1.0, kind).items():
            scores[name].append(value)
    blank = [section_key(stack.volume, stack.numbers[i]) for stack, i in places if is_blank(stack.gt(i))]
    if blank:
        warnings.warn(left_out_text(str(store.root), blank, len(places)), InputWarning, stacklevel=2)
    missing = missing_measures(results[0].shape, kind)
    if pixel_size is None:
        scores["frc_nm"] = [None]
        missing["frc_nm"] = "needs the voxel size, which the test set does not record"
    return np.stack(results), {
        "parameters": count_parameters(net),
        "learned_parameters": count_parameters(net, learned_only=True),
        "macs": macs,
        "seconds": seconds,
        "peak_memory": peak,
        "scores": {name: None if set(values) == {None} else values for name, values in scores.items()},
        "missing": missing,
    }


def segmentations(
    options: BenchmarkOptions, stack: np.ndarray, store: SectionStore, folder: Path, device: torch.device
) -> dict[str, dict[str, float]]:
    """The scores of each segmenter at its best threshold; its segmentation is stored in ``folder``."""
    found, how = {}, options.segmentation
    assert how is not None
    by_section = how.labels == "membranes"
    labels = read_labels(how.ids, store, how.sections, how.ids_dataset, by_section)
    raw = stack[slice(*(how.sections or (None,)))].astype(np.float32) / 255
    agglomeration = Agglomeration(how.thresholds, how.fragments, how.seed_distance, by_section)
    for segmenter in how.segmenters:
        affinities = predict(segmenter, raw, device)
        scores, ids = agglomeration.best(affinities, labels)
        found[segmenter.name] = scores | ({"membrane_f1": membrane_f1(affinities, labels)} if by_section else {})
        file = folder / f"segmentation_{slug(segmenter.name)}.tif"
        tifffile.imwrite(file, ids.astype(np.uint32), compression="zlib", photometric="minisblack")
    return found


def predict(segmenter: Segmenter, raw: np.ndarray, device: torch.device) -> np.ndarray:
    """Affinities (3, z, y, x) of a stack (z, y, x) in [0, 1]."""
    net = load_network(segmenter.options, segmenter.weights, device)
    val = read_options(segmenter.options).get("val") or {}
    return predict_affinities(net, torch.from_numpy(raw), val.get("block", BLOCK), val.get("context", CONTEXT))


def timed(results: Iterator[torch.Tensor], device: torch.device) -> Iterator[tuple[torch.Tensor, float]]:
    """Each result and the seconds that it took."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    while True:
        wait()
        start = time.perf_counter()
        result = next(results, None)
        if result is None:
            return
        wait()
        yield result, time.perf_counter() - start


def training_of(records: list[str]) -> dict[str, Any] | None:
    """Iterations and core-minutes of the records of ``gpemsr-benchmark-train``; no minutes where a record has none.

    Raises:
        InputError: a record is absent or not valid.
    """
    iterations: dict[str, int] = {}
    core_minutes: float | None = 0.0
    for record in records:
        try:
            found = json.loads(Path(record).read_text())
            iterations[Path(record).stem] = int(found["iterations"])
            minutes = found["core_minutes"]
            core_minutes = None if minutes is None or core_minutes is None else core_minutes + float(minutes)
        except (OSError, ValueError, TypeError, KeyError):
            raise InputError(f"{record}: expected a record of gpemsr-benchmark-train") from None
    return {"iterations": iterations, "core_minutes": core_minutes} if records else None


def stack_of(store: SectionStore) -> np.ndarray:
    """All sections of all volumes, (z, y, x) uint8."""
    sections = [store.read_float(v, s) for v, info in store.volumes.items() for s in info.sections]
    return np.stack([eight_bits(section) for section in sections])


def pixel_size_of(store: SectionStore) -> float | None:
    """Nanometres of an HR pixel; None if the volumes do not say, or differ."""
    sizes = {info.voxel_size and info.voxel_size[2] for info in store.volumes.values()}
    return sizes.pop() if len(sizes) == 1 else None
