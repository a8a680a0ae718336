"""Counts of the codes chosen lately."""

import pytest
import torch

from gpemsr.metrics.codebook_usage import CodebookUsage


def test_perplexity_is_1_for_one_code_and_their_number_for_all_alike():
    usage = CodebookUsage(8)
    usage.update(torch.full((2, 3, 4), 5))
    assert usage.perplexity().item() == pytest.approx(1)
    usage = CodebookUsage(8)
    usage.update(torch.arange(8).repeat(3))
    assert usage.perplexity().item() == pytest.approx(8)


def test_perplexity_before_the_first_step_is_finite():
    assert CodebookUsage(8).perplexity().isfinite()


def test_counts_fade():
    usage = CodebookUsage(4, memory=10)
    usage.update(torch.zeros(100, dtype=torch.long))
    for _ in range(10):
        usage.update(torch.ones(100, dtype=torch.long))
    assert usage.counts[0].item() == pytest.approx(100 * 0.9**10)
    assert usage.counts[1].item() == pytest.approx(100 * sum(0.9**k for k in range(10)))


def test_codes_chosen_less_than_a_thirtieth_of_the_average_are_dead():
    usage = CodebookUsage(4)
    usage.counts = torch.tensor([0.0, 3.0, 4.0, 393.0])  # 100 on average
    assert usage.dead().tolist() == [0, 1]
    assert usage.num_dead().item() == 2.0


def test_codes_are_all_dead_before_the_first_step():
    assert CodebookUsage(3).dead().tolist() == [0, 1, 2]


def test_revived_codes_live_for_a_while():
    usage = CodebookUsage(4, memory=50)
    usage.update(torch.zeros(400, dtype=torch.long))
    usage.revive(usage.dead())
    assert usage.dead().tolist() == []
    usage.update(torch.zeros(400, dtype=torch.long))
    assert usage.dead().tolist() == []
