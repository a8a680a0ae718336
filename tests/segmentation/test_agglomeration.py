"""From affinities to neurons: with those of the ground truth next to nothing is wrong."""

import sys

import numpy as np
import pytest

from gpemsr.data.affinities import affinities_of, section_regions
from gpemsr.data.volumes.ids import read_ids
from gpemsr.errors import InputError
from gpemsr.metrics.segmentation_scores import score_segmentation
from gpemsr.segmentation.agglomeration import Agglomeration, agglomerate, require
from gpemsr.segmentation.fragments import connected_ids, make_fragments

pytest.importorskip("waterz", reason="the extra 'benchmark' is not installed")
pytest.importorskip("cc3d", reason="the extra 'benchmark' is not installed")


def scores_of(ids: np.ndarray, affinities: np.ndarray | None = None, **how) -> list:
    """Scores at each threshold, by default of true affinities at 0.5."""
    agglomeration = Agglomeration(**{"thresholds": [0.5], **how})
    segmentations = agglomeration.segment(affinities_of(ids) if affinities is None else affinities)
    return [score_segmentation(ids, labels, agglomeration.by_section) for _, labels in segmentations]


@pytest.mark.parametrize("kind", ["2d", "3d"])
@pytest.mark.parametrize("name", ["touching", "with_boundary"])
def test_true_affinities_give_the_true_neurons(kind, name, request):
    ids = request.getfixturevalue(name)
    (scores,) = scores_of(ids, kind=kind)
    assert scores.voi < 0.02
    assert scores.adapted_rand < 0.005


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


def test_a_segmentation_comes_with_its_threshold(with_boundary):
    segmentations = dict(Agglomeration([0.2, 0.5]).segment(affinities_of(with_boundary)))
    assert list(segmentations) == [0.2, 0.5]
    assert all(labels.all() for labels in segmentations.values())


def test_a_section_by_itself_is_merged_with_no_other_whatever_the_affinities_along_z(with_boundary):
    regions = section_regions(with_boundary)
    affinities = affinities_of(with_boundary)
    affinities[0] = 1
    (labels,) = (labels for _, labels in Agglomeration([1.0], by_section=True).segment(affinities))
    sections = [set(np.unique(section)) for section in labels]
    assert [len(names) for names in sections] == [9] * 5
    assert len(set.union(*sections)) == 45
    assert score_segmentation(regions, labels, by_section=True).voi == pytest.approx(0)
    assert affinities[0].all()


def test_three_dimensional_fragments_are_not_of_single_sections():
    with pytest.raises(ValueError, match="kind=3d: expected 2d"):
        Agglomeration([0.5], "3d", by_section=True)


def test_nothing_is_printed(with_boundary, capfd):
    scores_of(with_boundary)
    assert capfd.readouterr().out == ""


def test_an_absent_library_is_named_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "waterz", None)
    with pytest.raises(InputError, match=r"segmentation needs waterz .*: pip install gpemsr\[benchmark\]$"):
        require("waterz", "cc3d")


@pytest.mark.realdata
def test_true_affinities_of_real_neurons_give_the_neurons(em_data):
    """Every fourth section of FIB-25; pieces that are connected outside of the volume only count as neurons."""
    ids = read_ids(em_data / "fib25_sample2_half" / "neuron_ids.tif", slice(0, 64, 4))
    (scores,) = scores_of(connected_ids(ids), affinities_of(ids))
    assert scores.voi < 0.05
    assert scores.adapted_rand < 0.01


@pytest.mark.realdata
def test_true_affinities_of_real_membranes_give_their_regions(em_data):
    ids = section_regions(read_ids(em_data / "isbi2012_train" / "membrane.tif", slice(24, 25)))
    (scores,) = scores_of(ids, by_section=True)
    assert scores.voi < 1e-6
    assert scores.adapted_rand < 1e-6


def test_true_affinities_of_the_phantoms_neurons_give_the_neurons():
    from gpemsr.phantom.stack import make_phantom

    ids = make_phantom((4, 64, 64), (40.0, 12.0, 12.0)).ids
    (scores,) = scores_of(connected_ids(ids), affinities_of(ids))
    assert scores.voi < 0.03
    assert scores.adapted_rand < 0.005


def test_the_best_segmentation_is_that_of_the_least_variation_of_information(touching):
    affinities = np.maximum(affinities_of(touching), 0.4)  # neurons merge at 0.6
    thresholds = [0.3, 0.5, 0.8]
    scores = scores_of(touching, affinities, thresholds=thresholds)
    figures, labels = Agglomeration(thresholds).best(affinities, touching)
    assert figures["voi"] == min(found.voi for found in scores) < scores[-1].voi
    assert score_segmentation(touching, labels) == scores[thresholds.index(figures["threshold"])]
