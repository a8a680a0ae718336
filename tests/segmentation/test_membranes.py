"""Membranes found from affinities, compared with the labelled ones."""

import numpy as np
import pytest

from gpemsr.data.affinities import affinities_of
from gpemsr.segmentation.membranes import membrane_f1, membrane_probability


@pytest.fixture
def ids() -> np.ndarray:
    """Cells of 7 x 7 pixels with a pixel of membrane between them; none at the first row and column."""
    ids = np.arange(1, 1 + 2 * 3 * 3).reshape(2, 3, 3).repeat(8, 1).repeat(8, 2)
    ids[:, 7::8] = ids[:, :, 7::8] = 0
    return ids


def test_true_affinities_tell_the_membrane_as_it_is_labelled(ids):
    affinities = affinities_of(ids)
    np.testing.assert_array_equal(membrane_probability(affinities), ids == 0)
    assert membrane_f1(affinities, ids) == 1


def test_affinities_along_z_and_those_that_lead_out_of_the_section_do_not_count(ids):
    ids[:, 0] = ids[:, :, 0] = 0
    affinities = affinities_of(ids)
    affinities[0] = affinities[1, :, 0] = affinities[2, :, :, 0] = 1
    np.testing.assert_array_equal(membrane_probability(affinities), ids == 0)


def test_the_best_threshold_is_taken(ids):
    faint = 0.7 + 0.2 * affinities_of(ids)  # membrane 0.3, inside 0.1
    assert membrane_f1(faint, ids) == 1


def test_noise_costs_and_a_guess_gives_the_share_of_the_membrane(ids):
    share = (ids == 0).mean()
    guess = np.ones((3, *ids.shape), np.float32)
    assert membrane_f1(guess, ids) == pytest.approx(2 * share / (share + 1))
    noise = np.random.default_rng(0).random((3, *ids.shape), np.float32)
    noisy = membrane_f1(np.clip(affinities_of(ids) + 1.6 * (noise - 0.5), 0, 1), ids)
    assert 2 * share / (share + 1) < noisy < 1


def test_without_a_membrane_there_is_nothing_to_find():
    with pytest.raises(ValueError, match="no membrane"):
        membrane_f1(np.ones((3, 1, 4, 4)), np.ones((1, 4, 4)))
