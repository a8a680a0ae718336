"""R1 penalty of the discriminator."""

import pytest
import torch

from gpemsr.losses.r1_loss import R1Loss


@pytest.mark.parametrize("weight", [1.0, 1e-4])
def test_it_is_half_the_squared_gradient_per_image(weight):
    factors = torch.randn(2, 1, 3, 4)
    real = torch.rand(2, 1, 3, 4, requires_grad=True)
    loss = R1Loss(weight)((factors * real).sum(dim=(1, 2, 3)), real)
    assert loss.item() == pytest.approx(weight / 2 * factors.square().sum().item() / 2)


def test_it_moves_the_discriminator():
    net = torch.nn.Conv2d(1, 1, 3)
    real = torch.rand(1, 1, 5, 5, requires_grad=True)
    R1Loss()(net(real), real).backward()
    assert net.weight.grad.any()


def test_a_flat_discriminator_is_not_punished():
    real = torch.rand(1, 1, 5, 5, requires_grad=True)
    assert R1Loss()(0 * real, real) == 0
