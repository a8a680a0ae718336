"""Training several methods with the same budget of CPU time, from their own option files."""

from __future__ import annotations

import copy
import json
import multiprocessing
import os
import statistics
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from gpemsr import register
from gpemsr.benchmark.budget_options import BudgetMethod, BudgetOptions, BudgetStage
from gpemsr.benchmark.fingerprint import fingerprint, hash_of
from gpemsr.benchmark.training_run import end_trainings, ignore_interrupts, iteration_seconds, train
from gpemsr.errors import InputError, one_line
from gpemsr.files import read_record, replaced
from gpemsr.options.check import check_options
from gpemsr.options.place import Place, check_section
from gpemsr.options.read import merged, read_options, to_plain

# what a training may use: CPU time is what is counted, so that a GPU stays unused
ONE_CORE = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
ROUNDS = 5  # of measuring, interleaved, so that a slow minute of the machine affects all methods
SAVED = 10  # states of a training, to resume from
STEPS = 6  # iterations measured a round


def rescaled(options: Mapping[str, Any], total_iter: int) -> dict[str, Any]:
    """Options of a training of another length: all counts of iterations scale with it.

    It is validated once, at its end, and saved ten times.
    """
    changed = copy.deepcopy(dict(options))
    section, scheduler = changed["train"], changed["train"]["scheduler"]
    factor = total_iter / section["total_iter"]
    for key, value in section.items():
        if key.endswith("_start_iter") or (key == "warmup_iter" and value > 0):
            section[key] = round(value * factor)
        elif key == "restart_dead_codes_every" and value > 0:
            section[key] = max(1, round(value * factor))
    for key in {"periods", "milestones"} & scheduler.keys():
        scheduler[key] = [max(1, round(value * factor)) for value in scheduler[key]]
    if "periods" in scheduler:
        scheduler["periods"][-1] += max(0, total_iter - sum(scheduler["periods"]))
    section["total_iter"] = total_iter
    if changed.get("val"):
        changed["val"]["val_freq"] = total_iter
    changed["logger"]["save_checkpoint_freq"] = total_iter // SAVED + 1
    return changed


class EqualBudget:
    """Trains the methods of a :class:`BudgetOptions`; a stage that is trained already is not trained again.

    An interrupted training is resumed from its last state, unless its options or those of a stage before it have
    changed. ``<folder>/trainings/<stage>.json`` records iterations and core-minutes of each stage.

    Raises:
        InputError: an option file is not valid.
    """

    def __init__(self, options: BudgetOptions) -> None:
        register()
        self.options = options
        self.folder = Path(options.folder)
        self.stages = {stage.experiment: self._complete(stage) for method in options.methods for stage in method.stages}
        self._data = [hash_of(root) for root in options.data.train.model_dump().values()]
        self._locks = {name: threading.Lock() for name in self.stages}

    def _complete(self, stage: BudgetStage) -> dict[str, Any]:
        """The content of a stage's option file, changed, with the data of the comparison."""
        section = {**to_plain(merged(read_options(stage.options), stage.changes)), "name": stage.experiment}
        place = Place(stage.options)
        # a checkpoint that a stage before makes is not there yet: a file that is there stands in
        path = check_section(section.get("path"), place / "path")
        stand_ins = {key: stage.options for key, value in path.items() if key.startswith("pretrain_") and value}
        parts = check_section(section.get("datasets"), place / "datasets")
        parts = {part: check_section(found, place / "datasets" / part) for part, found in parts.items()}
        roots: dict[str, dict[str, str]] = {}
        for part, found in self.options.data.model_dump().items():
            if part in parts:
                roots[part] = {key: root for key, root in found.items() if key in parts[part]}
        check_options(to_plain(merged(section, {"path": stand_ins, "datasets": roots})), stage.options, True)
        seen = {part: {key: os.path.relpath(root, self.folder) for key, root in roots[part].items()} for part in roots}
        return to_plain(merged(section, {"datasets": seen}))

    def run(self) -> None:
        """Measure what an iteration of each stage takes, then train the methods, several at a time.

        Raises:
            InputError: trainings failed; the others are finished nevertheless.
        """
        for part in ("options", "trainings"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        seconds = self.measure()
        with ThreadPoolExecutor(self.options.workers) as pool:
            trainings = [
                pool.submit(self._train, method, seconds, index % self.options.workers)
                for index, method in enumerate(self.options.methods)
            ]
            try:
                wait(trainings)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                end_trainings()
                raise
        failures: dict[str, None] = {}
        for training in trainings:
            try:
                training.result()
            except InputError as error:
                failures[str(error)] = None
        if failures:
            raise InputError("; ".join(failures))

    def measure(self) -> dict[str, float | InputError]:
        """CPU seconds of an iteration of each stage, or why it has none.

        They are stored, so that a resumed run has the same plan. Stages that differ only in their names and in the
        weights that they start from are measured once.
        """
        file = self.folder / "trainings" / "seconds_per_iteration.json"
        known = read_record(file)
        works = {name: fingerprint({**options, "name": "", "path": {}}) for name, options in self.stages.items()}
        seconds: dict[str, float | InputError] = {entry["of"]: entry["seconds"] for entry in known.values()}
        missing = {work: self.stages[name] for name, work in works.items() if work not in seconds}
        jobs = [(work, options, str(self.folder.resolve())) for _ in range(ROUNDS) for work, options in missing.items()]
        found: dict[str, list[float | InputError]] = {work: [] for work in missing}
        if jobs:
            with ignore_interrupts():
                workers = multiprocessing.get_context("spawn").Pool(self.options.workers)
            with workers as pool:
                results = tqdm(pool.imap(_measure, jobs, chunksize=1), "measure", len(jobs), disable=None)
                for (work, *_), value in zip(jobs, results, strict=True):
                    found[work].append(value)
        for work, values in found.items():
            failures = [value for value in values if isinstance(value, InputError)]
            seconds[work] = failures[0] if failures else statistics.median(values)  # type: ignore[type-var]
        plan = {name: seconds[work] for name, work in works.items()}
        measured = {name: value for name, value in plan.items() if not isinstance(value, InputError)}
        known |= {name: {"seconds": value, "of": works[name]} for name, value in measured.items()}
        with replaced(file) as temporary:
            temporary.write_text(json.dumps(known, indent=1))
        return plan

    def _train(self, method: BudgetMethod, seconds: Mapping[str, float | InputError], position: int) -> None:
        of = ""
        for stage in method.stages:
            name, taken = stage.experiment, seconds[stage.experiment]
            if isinstance(taken, InputError):
                raise taken
            total = max(1, round(stage.share * self.options.core_minutes * 60 / taken))
            options = rescaled(self.stages[name], total)
            of = fingerprint([of, options, self._data])  # a change of a stage changes those after it
            record = self.folder / "trainings" / f"{name}.json"
            with self._locks[name]:
                if read_record(record).get("of") == of:
                    continue
                begun = self._prepare(name, f"# {of}\n{yaml.safe_dump(options, sort_keys=False)}")
                usage = train(name, self.folder, ONE_CORE, position, resume=begun > 0)
                whole = usage.core_seconds + begun * taken  # what came before an interruption is taken as planned
                with replaced(record) as temporary:
                    temporary.write_text(
                        json.dumps({"iterations": total, "core_minutes": whole / 60, "of": of}, indent=1)
                    )

    def _prepare(self, name: str, text: str) -> int:
        """Write a stage's option file; returns the iteration from which an interrupted training is resumed, or 0."""
        file, experiment = self.folder / "options" / f"{name}.yml", self.folder / "experiments" / name
        is_same = file.is_file() and file.read_text() == text
        if not is_same and experiment.exists():  # its states are not of these options
            experiment.rename(experiment.with_name(f"{name}_archived_{time.strftime('%Y%m%d_%H%M%S')}"))
        with replaced(file) as temporary:
            temporary.write_text(text)
        return max((int(state.stem) for state in (experiment / "training_states").glob("*.state")), default=0)


def _measure(job: tuple[str, dict[str, Any], str]) -> float | InputError:
    _, options, folder = job
    os.environ.update(ONE_CORE)
    try:
        return iteration_seconds(options, Path(folder), STEPS)
    except (ValueError, RuntimeError, OSError) as error:
        return InputError(f"{options['name']}: {one_line(error)}")
