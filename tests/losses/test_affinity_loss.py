"""Balanced cross-entropy of affinities."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from gpemsr.losses.affinity_loss import AffinityLoss


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    shape = (2, 3, 4, 8, 8)
    return torch.randn(shape), (torch.rand(shape) < 0.8).float(), (torch.rand(shape) < 0.7).float()


def test_both_classes_weigh_alike(batch):
    logits, affinities, mask = batch
    each = [cross_entropy(logits[chosen], affinities[chosen]) for chosen in
            ((mask > 0) & (affinities == value) for value in (0, 1))]  # fmt: skip
    torch.testing.assert_close(AffinityLoss(loss_weight=2.0)(*batch), sum(each))


def test_without_balance_it_is_the_mean_over_the_voxels_that_count(batch):
    logits, affinities, mask = batch
    expected = cross_entropy(logits[mask > 0], affinities[mask > 0])
    torch.testing.assert_close(AffinityLoss(balance=False)(*batch), expected)


def test_masked_voxels_do_not_count(batch):
    logits, affinities, mask = batch
    logits.requires_grad_()
    AffinityLoss()(logits, affinities, mask).backward()
    assert (logits.grad[mask == 0] == 0).all()
    assert (logits.grad[mask > 0] != 0).all()


def test_a_batch_of_one_class_or_without_known_voxels_is_finite(batch):
    logits, affinities, mask = batch
    loss = AffinityLoss(min_share=0.1)(logits, torch.ones_like(affinities), mask)
    torch.testing.assert_close(loss, cross_entropy(logits[mask > 0], torch.ones(int(mask.sum()))) * 0.5 / 0.9)
    assert AffinityLoss()(logits, affinities, torch.zeros_like(mask)) == 0


def test_a_share_above_a_half_is_refused():
    with pytest.raises(ValueError, match=r"^min_share=0\.6"):
        AffinityLoss(min_share=0.6)
