"""Weights between two trainings: the ends are the two networks, the middle is their mean; others are refused."""

import pytest
import torch

from gpemsr.checkpoints.blending import blend
from gpemsr.errors import InputError

ONE = {"weight": torch.tensor([[0.0, 2.0]]), "steps": torch.tensor(3)}
OTHER = {"weight": torch.tensor([[4.0, 0.0]]), "steps": torch.tensor(9)}


@pytest.mark.parametrize(("share", "expected"), [(0, [[0.0, 2.0]]), (0.25, [[1.0, 1.5]]), (1, [[4.0, 0.0]])])
def test_weights_are_mixed_by_their_share(share, expected):
    mixed = blend(ONE, OTHER, share)
    assert mixed["weight"].tolist() == expected
    assert mixed["steps"] == 3


def test_half_precision_stays():
    mixed = blend({"weight": torch.ones(2).half()}, {"weight": torch.zeros(2).half()}, 0.5)
    assert mixed["weight"].dtype == torch.float16


@pytest.mark.parametrize(
    ("other", "share", "message"),
    [
        (OTHER, 1.5, "share 1.5: expected from 0 to 1"),
        ({"weight": OTHER["weight"]}, 0.5, "steps is in one of the two files only"),
        ({**OTHER, "weight": torch.zeros(1, 3)}, 0.5, "weight has sizes 1x2 and 1x3"),
    ],
)
def test_what_cannot_be_mixed_is_refused(other, share, message):
    with pytest.raises(InputError, match=message):
        blend(ONE, other, share)
