import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpemsr.data.lmdb_files import section_key
from gpemsr.data.section_sampling import (
    Augmentation,
    WorkerRandom,
    image_name,
    random_origin,
    to_tensor,
    window_indices,
)

SYMMETRIES = [Augmentation(h, v, t) for h in (False, True) for v in (False, True) for t in (False, True)]


def test_names_of_a_section():
    assert section_key("vol.A", 12) == "vol.A/00000012"
    assert image_name("vol.A", 12) == "vol.A_00000012.png"


@pytest.mark.parametrize(
    ("centre", "expected"),
    [(0, [0, 0, 0, 1, 2]), (1, [0, 0, 1, 2, 3]), (2, [0, 1, 2, 3, 4]), (5, [3, 4, 5, 5, 5])],
)
def test_window_repeats_the_edge_section(centre, expected):
    assert window_indices(centre, 6, 5) == expected


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_window_is_ascending_and_centred(data):
    count = data.draw(st.integers(1, 20))
    centre = data.draw(st.integers(0, count - 1))
    num_frame = 2 * data.draw(st.integers(0, 5)) + 1
    window = window_indices(centre, count, num_frame)
    assert len(window) == num_frame
    assert window[num_frame // 2] == centre
    assert window == sorted(window)
    assert min(window) >= 0 and max(window) < count


def test_symmetries_are_eight_and_keep_the_order_of_the_sections():
    sections = np.arange(2 * 4 * 4).reshape(2, 4, 4)
    turned = [augment(sections) for augment in SYMMETRIES]
    assert len({t.tobytes() for t in turned}) == 8
    for t in turned:
        assert set(t[0].ravel()) == set(sections[0].ravel())


def test_what_is_turned_is_turned_back():
    sections = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    assert all(np.array_equal(augment.undo(augment(sections)), sections) for augment in SYMMETRIES)


@pytest.mark.parametrize("use_hflip", [False, True])
@pytest.mark.parametrize("use_rot", [False, True])
def test_possible_augmentations_are_those_drawn(use_hflip, use_rot):
    rng, possible = random.Random(0), Augmentation.possible(use_hflip, use_rot)
    assert len(set(possible)) == len(possible)
    assert {Augmentation.draw(rng, use_hflip, use_rot) for _ in range(100)} == set(possible)


def test_augmentation_off_changes_nothing():
    rng = random.Random(0)
    assert {Augmentation.draw(rng, False, False) for _ in range(50)} == {Augmentation()}


def test_augmentation_draws_all_symmetries():
    rng = random.Random(0)
    assert {Augmentation.draw(rng, True, True) for _ in range(200)} == set(SYMMETRIES)


def test_crops_reach_every_place_inside_and_none_outside():
    rng = random.Random(0)
    assert {random_origin(rng, (4, 5), (3, 3)) for _ in range(200)} == {(y, x) for y in range(2) for x in range(3)}


def test_outside_workers_the_global_generator_is_used():
    generator = WorkerRandom()
    random.seed(3)
    first = generator().random()
    random.seed(3)
    assert generator().random() == first


def test_tensor_has_a_channel_and_its_own_memory():
    sections = np.zeros((5, 4, 6), np.float32)
    tensor = to_tensor(sections[..., ::-1])
    assert tensor.shape == (5, 1, 4, 6)
    assert tensor.is_contiguous()
    sections[:] = 1
    assert tensor.sum() == 0
