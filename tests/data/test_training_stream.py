"""The stream of a training: exact, without bias, the same for any number of processes, workers and interruptions."""

import math
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset

from gpemsr.data.training_stream import DamagedData, Progress, SeededItems, TrainingStream, start_worker
from gpemsr.errors import InputError


class Draws(Dataset):
    """Items that say which they are, and two random numbers; some cannot be read."""

    def __init__(self, count: int, bad: tuple[int, ...] = (), error: type[Exception] = InputError) -> None:
        self.opt = {"name": "draws"}
        self.count, self.bad, self.error = count, bad, error

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict:
        if index in self.bad:
            raise self.error(f"v/{index:08d} is damaged")
        return {"index": index, "random": random.random(), "numpy": np.random.rand()}


def stream(sections: int, rank: int = 0, processes: int = 1, ratio: int = 1, **options) -> TrainingStream:
    options = {"batch": 2 * processes, "total_iter": 9, "seed": 1, "done": Progress(), **options}
    return TrainingStream(Draws(sections), processes, rank, ratio, **options)


def epochs(sampler: TrainingStream) -> list:
    """What BasicSR's loop takes."""
    taken = []
    for epoch in range(sampler.first_epoch, sampler.last_epoch + 1):
        sampler.set_epoch(epoch)
        items = list(sampler)
        assert len(items) == len(sampler)
        taken += items
    return taken


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_training_has_exactly_its_steps_wherever_it_is_interrupted(data):
    sections, ratio, processes = (data.draw(st.integers(1, most)) for most in (12, 3, 4))
    per_process = data.draw(st.integers(1, max(1, sections * ratio // processes)))
    batch, total = per_process * processes, data.draw(st.integers(1, 50))
    if batch > sections * ratio:
        with pytest.raises(InputError, match="expected no fewer items than a batch"):
            stream(sections, 0, processes, ratio, batch=batch)
        return
    cut = data.draw(st.integers(0, total))
    taken = []
    for rank in range(processes):
        whole = epochs(stream(sections, rank, processes, ratio, batch=batch, total_iter=total))
        assert len(whole) == total * per_process
        done = Progress(cut, cut * batch)
        rest = epochs(stream(sections, rank, processes, ratio, batch=batch, total_iter=total, done=done))
        assert rest == whole[cut * per_process :]
        taken += whole
    assert sorted(place for _, place in taken) == list(range(total * batch))
    counts = Counter(section for section, _ in taken)
    assert max(counts.values()) - min(counts[section] for section in range(sections)) <= 1


def test_two_processes_take_the_batches_of_one():
    one = epochs(stream(7, batch=4))
    halves = [epochs(stream(7, rank, 2, batch=4)) for rank in range(2)]
    assert [item for step in range(9) for half in halves for item in half[2 * step : 2 * step + 2]] == one


def test_the_order_changes_with_the_seed_and_from_cycle_to_cycle():
    first, other = (epochs(stream(20, total_iter=20, seed=seed)) for seed in (1, 2))
    assert first[:20] != other[:20]
    assert [section for section, _ in first[:20]] != [section for section, _ in first[20:]]


@pytest.mark.parametrize("workers", [0, 2])
def test_items_depend_on_their_place_alone(workers):
    """Not on workers, nor on what was drawn before; and the training's own generators stay as they were."""
    sampler = stream(5, total_iter=4)
    random.seed(workers)
    np.random.seed(workers)
    expected = random.Random(workers).random(), np.random.RandomState(workers).rand()
    data = SeededItems(Draws(5), 1)
    loader = DataLoader(data, 2, sampler=sampler, num_workers=workers, worker_init_fn=start_worker)
    batches = [batch for epoch in (0, 1) if sampler.set_epoch(epoch) is None for batch in loader]
    drawn = np.concatenate([batch[name].numpy() for name in ("index", "random", "numpy") for batch in batches])
    np.testing.assert_array_equal(
        drawn, [data[item][name] for name in ("index", "random", "numpy") for item in epochs(sampler)]
    )
    assert len(set(drawn[8:])) == 16
    assert (random.random(), np.random.rand()) == expected


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("error", "text"),
    [
        (InputError, "v/00000002 is damaged"),
        (OSError, "data set draws, item 2: OSError: v/00000002 is damaged"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line_also_from_a_worker(workers, error, text):
    sampler = stream(5, total_iter=4)
    data = SeededItems(Draws(5, (2,), error), 1)
    with pytest.raises(DamagedData) as told:
        list(DataLoader(data, 2, sampler=sampler, num_workers=workers))
    assert str(told.value) == text


def test_a_training_may_go_on_without_what_cannot_be_read():
    items = [SeededItems(Draws(5, (2, 3)), 1, skip_bad=True)[item] for item in ((1, 0), (2, 1))]
    assert [(item["index"], item["left_out"]) for item in items] == [(1, ""), (4, "v/00000002 is damaged")]
    with pytest.raises(DamagedData, match="v/00000000 is damaged"):
        SeededItems(Draws(1, (0,)), 1, skip_bad=True)[0, 0]


def test_epochs_are_basicsrs():
    """Sections times the ratio, rounded up to full batches."""
    assert stream(9, ratio=3, batch=4, total_iter=40).per_epoch == math.ceil(27 / 4)
