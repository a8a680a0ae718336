"""Steps whose gradient is not finite."""

import pytest
import torch
from basicsr.utils import get_root_logger

from gpemsr.errors import RunError
from gpemsr.models.step_guard import StepGuard


class Training:
    """Two weights and a batch norm, trained on what a test says."""

    def __init__(self, **options) -> None:
        self.net = torch.nn.Sequential(torch.nn.BatchNorm1d(1), torch.nn.Linear(1, 1))
        self.optimizer = torch.optim.Adam(self.net.parameters(), 0.1)
        self.guard = StepGuard([self.optimizer], [self.net], **{"grad_clip": None, "limit": 2, **options})
        self.iteration = 0

    def step(self, factor: float, bias: float = 0) -> None:
        self.iteration += 1
        self.guard.begin()
        self.optimizer.zero_grad()
        loss = (factor * self.net(torch.tensor([[1.0], [2 + bias]]))).sum()
        loss.backward()
        self.optimizer.step()
        self.guard.end(self.iteration, {"l_pix": loss.detach()}, ["v/3", "v/4"], "iteration 1")

    def state(self) -> list[torch.Tensor]:
        moments = [value for state in self.optimizer.state.values() for value in state.values()]
        return [value.clone() for value in (*self.net.state_dict().values(), *moments)]


@pytest.mark.parametrize(("factor", "bias"), [(torch.nan, 0), (torch.inf, 0), (1, torch.nan)])
def test_such_a_step_changes_nothing_and_is_told(factor, bias, caplog, monkeypatch):
    monkeypatch.setattr(get_root_logger(), "propagate", True)
    training = Training()
    training.step(1)
    before = training.state()
    training.step(factor, bias)
    assert all(map(torch.equal, before, training.state()))
    assert training.guard.skipped == 1
    assert caplog.messages[-1].startswith("Iteration 2: the gradient is not finite (l_pix ")
    assert caplog.messages[-1].endswith("; batch: ['v/3', 'v/4']): the step is skipped, 1 so far.")
    training.step(1)
    assert not all(map(torch.equal, before, training.state()))


def test_too_many_in_a_row_end_the_training():
    training = Training()
    for factor in (torch.nan, torch.nan, 1, torch.nan, torch.nan):
        training.step(factor)
    with pytest.raises(RunError) as ended:
        training.step(torch.nan)
    assert str(ended.value).startswith("Iteration 6: the gradient is not finite (l_pix nan; batch: ['v/3', 'v/4'])")
    assert str(ended.value).endswith("3 steps in a row, so the training stops; last good checkpoint: iteration 1")
    assert training.guard.skipped == 5


def test_none_are_skipped_if_none_may_be():
    with pytest.raises(RunError, match="skip_non_finite is 0"):
        Training(limit=0).step(torch.nan)


def test_gradients_are_clipped():
    training = Training(grad_clip=0.5)
    training.step(1000)
    norm = torch.stack([p.grad.norm() for p in training.net.parameters()]).norm()
    torch.testing.assert_close(norm, torch.tensor(0.5))
