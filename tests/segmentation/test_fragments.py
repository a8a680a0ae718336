"""Fragments of neurons."""

import numpy as np
import pytest

from gpemsr.data.affinities import affinities_of
from gpemsr.segmentation.fragments import connected_ids, fill_boundary, make_fragments

pytest.importorskip("cc3d", reason="the extra 'benchmark' is not installed")


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
