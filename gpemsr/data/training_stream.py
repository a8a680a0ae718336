"""Which sections a training sees, in what order: a stream that goes on exactly where it was left."""

from __future__ import annotations

import math
import random
import signal
import sys
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from torch.utils.data import Dataset, Sampler

from gpemsr.errors import InputError, RunError, one_line

ASKED_TO_STOP = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT)  # signals that end a training in order


class Progress(NamedTuple):
    """How far a training is: steps done, and items taken by all processes together."""

    iteration: int = 0
    samples: int = 0


def items_per_step(opt: Mapping[str, Any]) -> int:
    """Items of one step, of all processes; ``opt`` as BasicSR completes an option file."""
    copies = 1 if opt["dist"] else max(opt["num_gpu"], 1)  # of the network: DataParallel splits one batch
    return opt["datasets"]["train"]["batch_size_per_gpu"] * copies * opt["world_size"]


class TrainingStream(Sampler):
    """Exactly ``total_iter`` steps of full batches, in the place of BasicSR's ``EnlargedSampler``.

    The stream is one random permutation of the sections after another. It depends on the seed alone, not on the
    number of processes, and each step takes the next items; so a training that is resumed goes on with the item after
    the last. BasicSR's epochs are spans of the stream: ``len(dataset) * ratio`` items, rounded up to full batches.

    Args:
        ratio: ``dataset_enlarge_ratio``.
        batch: items of a step, of all processes.
        seed: of the permutations and of the items.
        done: what the training that is resumed has done.
    """

    def __init__(
        self,
        dataset: Dataset,
        num_replicas: int,
        rank: int,
        ratio: int,
        *,
        batch: int,
        total_iter: int,
        seed: int,
        done: Progress,
    ) -> None:
        self.sections = len(dataset)  # type: ignore[arg-type]
        items = self.sections * ratio
        if items < batch:
            raise InputError(
                f"datasets.train: {items} items an epoch (sections or crops, times dataset_enlarge_ratio={ratio}) for "
                f"batches of {batch} in all processes; expected no fewer items than a batch, or a larger ratio"
            )
        self.share = slice(rank * batch // num_replicas, (rank + 1) * batch // num_replicas)
        self.per_epoch = math.ceil(items / batch)
        self.batch, self.total_iter, self.seed, self.done = batch, total_iter, seed, done
        self.epoch = self.first_epoch = done.iteration // self.per_epoch
        self.last_epoch = max(math.ceil(total_iter / self.per_epoch) - 1, self.first_epoch)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that is iterated over next."""
        self.epoch = epoch

    def steps(self) -> range:
        """The steps of this epoch that are still to do, counted from 0."""
        first = max(self.epoch * self.per_epoch, self.done.iteration)
        return range(first, max(first, min((self.epoch + 1) * self.per_epoch, self.total_iter)))

    def __len__(self) -> int:
        return len(self.steps()) * (self.share.stop - self.share.start)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """(Section, place in the stream) of this process's items."""
        cycle, order = -1, np.arange(0)
        for step in self.steps():
            start = self.done.samples + (step - self.done.iteration) * self.batch
            for place in range(start + self.share.start, start + self.share.stop):
                if place // self.sections != cycle:
                    cycle = place // self.sections
                    order = np.random.default_rng((self.seed, cycle)).permutation(self.sections)
                yield int(order[place % self.sections]), place


class DamagedData(RunError):
    """An item that cannot be read: data set, section or file, reason; one line, also when it comes from a worker."""

    def __init__(self, text: str) -> None:
        super().__init__(text.strip().rpartition(f"{type(self).__name__}: ")[2])


class SeededItems(Dataset):
    """Items that depend on the seed and their place in the stream alone, not on workers or on what was drawn before.

    Python's and numpy's generators are seeded for each item, and put back where the training shares them.

    Args:
        skip_bad: take the next section where one cannot be read. Items then say why as ``left_out``, or ''.

    Raises:
        DamagedData: an item, or each item, cannot be read.
    """

    seeds_items = True  # for WorkerRandom

    def __init__(self, dataset: Dataset, seed: int, skip_bad: bool = False) -> None:
        self.dataset = dataset
        self.seed = seed
        self.skip_bad = skip_bad

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, item: tuple[int, int]) -> Any:
        index, place = item
        left_out = ""
        for attempt in range(len(self) if self.skip_bad else 1):
            try:
                found = self._read((index + attempt) % len(self), place)
            except Exception as error:  # damaged files raise all kinds
                left_out = left_out or self._describe(index, error)
            else:
                return {**found, "left_out": left_out} if self.skip_bad else found
        raise DamagedData(left_out)

    def _read(self, index: int, place: int) -> Any:
        before = random.getstate(), np.random.get_state()
        seed = int(np.random.SeedSequence((self.seed, place)).generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        try:
            return self.dataset[index]
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])

    def _describe(self, index: int, error: Exception) -> str:
        if isinstance(error, InputError):  # of ours: with file and section
            return one_line(error)
        where = f"data set {self.dataset.opt['name']}, item {index}"  # type: ignore[attr-defined]
        return f"{where}: {type(error).__name__}: {one_line(error)}"


def start_worker(worker_id: int) -> None:
    """Let a data loader's worker live on when a signal goes to all processes: the main one finishes its step.

    If that one is gone while a batch is handed over, the worker has nothing to say.
    """
    for number in ASKED_TO_STOP:
        signal.signal(number, signal.SIG_IGN)
    sys.excepthook = _but_connections


def _but_connections(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, ConnectionError):
        sys.__excepthook__(kind, error, trace)
