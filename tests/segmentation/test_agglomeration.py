"""From affinities to neurons: with those of the ground truth next to nothing is wrong."""

import sys

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.metrics import adapted_rand_error, variation_of_information

from gpemsr.data.affinities import affinities_of, section_regions
from gpemsr.data.volumes.ids import read_ids
from gpemsr.errors import InputError
from gpemsr.segmentation.agglomeration import (
    agglomerate,
    connected_ids,
    fill_boundary,
    make_fragments,
    require,
    score_segmentation,
    segment,
    segment_and_score,
)

pytest.importorskip("waterz", reason="the extra 'benchmark' is not installed")
pytest.importorskip("cc3d", reason="the extra 'benchmark' is not installed")


@pytest.fixture(scope="module")
def touching() -> np.ndarray:
    """Three neurons that touch without boundary, one of them a single voxel wide, in four sections."""
    ids = np.ones((4, 24, 30), np.uint64)
    ids[:, :, 14:] = 2
    ids[:, 11, 3:27] = 2**60
    return ids


@pytest.fixture(scope="module")
def with_boundary() -> np.ndarray:
    """Nine neurons with two voxels of boundary between them; they shift from section to section."""
    ids = np.zeros((5, 48, 48), np.uint32)
    for z in range(5):
        for cell in range(9):
            y, x = 16 * (cell // 3), 16 * (cell % 3)
            ids[z, y + 1 : y + 15, x + 1 + z // 2 : x + 13 + z // 2] = cell + 1
    return ids


@pytest.mark.parametrize("kind", ["2d", "3d"])
@pytest.mark.parametrize("name", ["touching", "with_boundary"])
def test_true_affinities_give_the_true_neurons(kind, name, request):
    ids = request.getfixturevalue(name)
    (scores,) = segment_and_score(affinities_of(ids), ids, [0.5], kind).values()
    assert scores.voi < 0.02
    assert scores.adapted_rand < 0.005


@pytest.mark.parametrize("kind", ["2d", "3d"])
def test_a_fragment_lies_within_one_neuron(kind, touching):
    fragments = make_fragments(affinities_of(touching), kind, seed_distance=4)
    assert fragments.min() == 1
    for label in np.unique(fragments):
        assert len(np.unique(touching[fragments == label])) == 1


def test_flat_fragments_do_not_span_sections(with_boundary):
    fragments = make_fragments(affinities_of(with_boundary), "2d")
    sections = [set(np.unique(section)) - {0} for section in fragments]
    assert len(set.union(*sections)) == sum(map(len, sections))
    assert [len(labels) for labels in sections] == [9] * 5


def test_a_higher_threshold_merges_across_weaker_affinities():
    ids = np.ones((1, 12, 24), np.uint64)
    ids[:, :, 12:] = 2
    affinities = np.maximum(affinities_of(ids), 0.4)  # score of the contact: 0.6
    fragments = make_fragments(affinities)
    before = fragments.copy()
    counts = [len(np.unique(labels)) for labels in agglomerate(affinities, fragments, [0.5, 0.7])]
    assert counts == [2, 1]
    assert (fragments == before).all()


def test_decreasing_thresholds_are_refused(touching):
    with pytest.raises(ValueError, match="increasing"):
        next(agglomerate(affinities_of(touching), np.ones(touching.shape), [0.5, 0.1]))


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


def test_a_segmentation_comes_with_its_threshold(with_boundary):
    affinities = affinities_of(with_boundary)
    scores = segment_and_score(affinities, with_boundary, [0.2, 0.5])
    segmentations = dict(segment(affinities, [0.2, 0.5]))
    assert list(segmentations) == [0.2, 0.5]
    for threshold, labels in segmentations.items():
        assert score_segmentation(with_boundary, labels) == scores[threshold]
        assert labels.all()


def test_a_section_by_itself_is_merged_with_no_other_whatever_the_affinities_along_z(with_boundary):
    regions = section_regions(with_boundary)
    affinities = affinities_of(with_boundary)
    affinities[0] = 1
    (labels,) = (labels for _, labels in segment(affinities, [1.0], by_section=True))
    sections = [set(np.unique(section)) for section in labels]
    assert [len(names) for names in sections] == [9] * 5
    assert len(set.union(*sections)) == 45
    assert score_segmentation(regions, labels, by_section=True).voi == pytest.approx(0)
    assert affinities[0].all()


def test_three_dimensional_fragments_are_not_of_single_sections(with_boundary):
    with pytest.raises(ValueError, match="kind=3d: 2d fits"):
        next(segment(affinities_of(with_boundary), [0.5], "3d", by_section=True))


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


def test_nothing_is_printed(with_boundary, capfd):
    segment_and_score(affinities_of(with_boundary), with_boundary, [0.5])
    assert capfd.readouterr().out == ""


def test_boundary_takes_the_nearest_label_of_its_section():
    labels = np.array([[[3, 0, 0, 0, 4]], [[0, 0, 0, 0, 0]]])
    filled = fill_boundary(labels)
    assert set(filled[0, 0]) == {3, 4}
    assert list(filled[0, 0, :2]) == [3, 3]
    assert not filled[1].any()


def test_disconnected_pieces_get_ids_of_their_own():
    pieces = connected_ids(np.array([[[5, 0, 5, 6]]], np.uint64))
    assert pieces[0, 0, 1] == 0
    assert len(set(pieces.ravel())) == 4


def test_an_absent_library_is_named_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "waterz", None)
    with pytest.raises(InputError, match=r"segmentation needs waterz .*: pip install gpemsr\[benchmark\]$"):
        require("waterz", "cc3d")


@pytest.mark.realdata
def test_true_affinities_of_real_neurons_give_the_neurons(em_data):
    """Every fourth section of FIB-25; pieces that are connected outside of the volume only count as neurons."""
    ids = read_ids(em_data / "fib25_sample2_half" / "neuron_ids.tif", slice(0, 64, 4))
    (scores,) = segment_and_score(affinities_of(ids), connected_ids(ids), [0.5]).values()
    assert scores.voi < 0.05
    assert scores.adapted_rand < 0.01


@pytest.mark.realdata
def test_true_affinities_of_real_membranes_give_their_regions(em_data):
    ids = section_regions(read_ids(em_data / "isbi2012_train" / "membrane.tif", slice(24, 25)))
    (scores,) = segment_and_score(affinities_of(ids), ids, [0.5], by_section=True).values()
    assert scores.voi < 1e-6
    assert scores.adapted_rand < 1e-6


def test_true_affinities_of_the_phantoms_neurons_give_the_neurons():
    from gpemsr.phantom.stack import make_phantom

    ids = make_phantom((4, 64, 64), (40.0, 12.0, 12.0)).ids
    (scores,) = segment_and_score(affinities_of(ids), connected_ids(ids), [0.5]).values()
    assert scores.voi < 0.03
    assert scores.adapted_rand < 0.005
