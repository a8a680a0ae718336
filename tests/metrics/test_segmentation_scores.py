"""Variation of information and adapted Rand error."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.metrics import adapted_rand_error, variation_of_information

from gpemsr.metrics.segmentation_scores import score_segmentation


def test_scores_tell_a_split_from_a_merge_and_leave_out_the_boundary():
    ids = np.repeat(np.array([[[0, 1, 2, 2]]]), 4, axis=1)
    right = np.array([[[9, 7, 5, 5]]]).repeat(4, axis=1)
    assert vars(score_segmentation(ids, right)) == {"voi_split": 0, "voi_merge": 0, "adapted_rand": 0}
    split = right.copy()
    split[..., 3] = 4
    scores = score_segmentation(ids, split)
    assert (scores.voi_split, scores.voi_merge) == (pytest.approx(2 / 3), 0)
    merged = np.ones_like(ids)
    scores = score_segmentation(ids, merged)
    assert scores.voi_split == 0
    assert scores.voi_merge == pytest.approx(-(np.log2(1 / 3) / 3 + np.log2(2 / 3) * 2 / 3))
    assert scores.adapted_rand > 0.1


@pytest.mark.filterwarnings("ignore:invalid value")  # where no two voxels belong together
@given(arrays(np.uint8, (3, 5, 4), elements=st.integers(0, 3)), arrays(np.uint8, (3, 5, 4), elements=st.integers(0, 4)))
def test_scores_are_those_of_scikit_image_without_label_0(ids, labels):
    assume(ids.any())
    found = score_segmentation(ids, labels)
    split, merge = variation_of_information(ids, labels + 1, ignore_labels=(0,))
    rand = adapted_rand_error(ids, labels + 1, ignore_labels=(0,))[0]
    expected = pytest.approx([split, merge, rand], abs=1e-12, nan_ok=True)
    assert [found.voi_split, found.voi_merge, found.adapted_rand] == expected


def test_scores_by_section_are_the_mean_over_sections_that_have_ids():
    ids = np.array([[[1, 1, 2, 2]], [[3, 3, 4, 4]], [[0, 0, 0, 0]]])
    labels = np.array([[[1, 1, 2, 2]], [[1, 1, 1, 1]], [[1, 1, 2, 2]]])
    scores = score_segmentation(ids, labels, by_section=True)
    assert (scores.voi_split, scores.voi_merge) == (0, pytest.approx(1 / 2))
    wrong = score_segmentation(ids[1:2], labels[1:2]).adapted_rand
    assert wrong > 0.1
    assert scores.adapted_rand == pytest.approx(wrong / 2)


@pytest.mark.parametrize("by_section", [True, False])
def test_there_must_be_something_to_compare_with(by_section):
    with pytest.raises(ValueError, match="no voxel other than 0"):
        score_segmentation(np.zeros((2, 3, 3), int), np.ones((2, 3, 3), int), by_section)
