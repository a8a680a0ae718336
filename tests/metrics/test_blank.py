"""Blank HR sections have no scores."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gpemsr.metrics.blank import WithoutBlank, is_blank, left_out_text, scored
from gpemsr.metrics.measures import MEASURES, measure_section


def test_a_section_of_one_value_is_blank():
    assert is_blank(np.full((3, 4), 7, np.uint8))
    assert is_blank(torch.zeros(1, 3, 4))
    assert not is_blank(np.eye(3))


def test_scores_that_are_not_finite_are_left_out():
    results = {
        "v": torch.tensor([[30.0, 0.9], [math.nan, math.nan], [32.0, 0.8]]),
        "w": torch.tensor([[math.inf, 1.0]]),
    }
    kept, left_out = scored(results)
    assert list(kept) == ["v"]
    assert kept["v"].tolist() == [[30.0, pytest.approx(0.9)], [32.0, pytest.approx(0.8)]]
    assert left_out == [("v", 1), ("w", 0)]
    assert left_out_text("val", ["v (1)", "w (0)"], 4) == (
        "val: 2 of 4 HR sections are blank and left out of the scores: v (1), w (0)"
    )


class Loader(list):
    dataset = SimpleNamespace(opt={"name": "val"})


def item(key, gt):
    return {"key": [key], "gt": gt}


def test_a_loader_skips_them_and_knows_which():
    loader = WithoutBlank(Loader([item("v/0", torch.eye(3)), item("v/1", torch.zeros(3, 3)), {"key": ["v/2"]}]))
    assert [found["key"] for found in loader] == [["v/0"], ["v/2"]]
    assert (loader.left_out, len(loader)) == (["v/1"], 3)


def test_a_blank_section_is_not_measured():
    blank, other = np.zeros((32, 32), np.uint8), np.eye(32, dtype=np.uint8)
    assert measure_section(other, blank, np.zeros((4, 4), np.uint8), 8, 4.0) == dict.fromkeys(MEASURES)
