"""Cross-entropy of the predicted codes."""

import pytest
import torch

from gpemsr.losses.code_loss import CodeLoss


@pytest.mark.parametrize("weight", [1.0, 0.5])
def test_it_is_minus_the_mean_log_probability_of_the_right_codes(weight):
    logits = torch.randn(2, 7, 3, 4)
    codes = torch.randint(7, (2, 3, 4))
    right = logits.log_softmax(1).gather(1, codes.unsqueeze(1))
    torch.testing.assert_close(CodeLoss(weight)(logits, codes), -weight * right.mean())


def test_a_sure_and_right_prediction_costs_nothing():
    codes = torch.randint(7, (2, 3, 4))
    logits = 100.0 * torch.nn.functional.one_hot(codes, 7).permute(0, 3, 1, 2)
    assert CodeLoss()(logits, codes) < 1e-6


def test_smoothing_spreads_some_probability_over_all_codes():
    logits = torch.randn(1, 7, 3, 4)
    codes = torch.randint(7, (1, 3, 4))
    log_p = logits.log_softmax(1)
    expected = -(0.9 * log_p.gather(1, codes.unsqueeze(1)).mean() + 0.1 * log_p.mean())
    torch.testing.assert_close(CodeLoss(label_smoothing=0.1)(logits, codes), expected)
