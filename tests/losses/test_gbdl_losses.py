"""The divergence of GBDL's latent against dense matrices; Dice to soft labels against a loop."""

import math

import pytest
import torch
from torch import Tensor

from semiseg.losses.dice import dice_loss
from semiseg.losses.gbdl import latent_divergence, soft_dice_loss
from semiseg.losses.ignore import one_hot


def case(slices: int, spread: float = 1.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    mean, vector = torch.randn(2, 3, slices, 5, generator=generator, dtype=torch.float64)
    return mean, spread * vector


def dense(mean: Tensor, vector: Tensor, scale: float) -> float:
    found = []
    for m, v in zip(mean, vector, strict=True):
        identity = torch.eye(m.shape[1], dtype=m.dtype)
        precision, weighted = torch.zeros_like(identity), torch.zeros_like(m[0])
        for own, direction in zip(m, v, strict=True):
            root = torch.outer(direction, direction) + scale * identity
            inverse = torch.linalg.inv(root @ root)
            precision, weighted = precision + inverse, weighted + inverse @ own
        sigma = torch.linalg.inv(precision)
        mu = sigma @ weighted
        found.append((sigma.trace() + mu @ mu - len(mu) - torch.logdet(sigma)).item() / 2)
    return sum(found) / len(found)


@pytest.mark.parametrize("slices", [1, 4, 9])  # 9: more slices than dimensions
@pytest.mark.parametrize(("scale", "spread"), [(1.0, 1.0), (10.0, 1.0), (2.0, 0.0), (0.5, 3.0)])
def test_the_divergence_is_that_of_dense_matrices(slices: int, scale: float, spread: float) -> None:
    mean, vector = case(slices, spread)
    found = latent_divergence(mean, vector, scale).item()
    assert found == pytest.approx(dense(mean, vector, scale), rel=1e-7)


def test_the_divergence_of_the_prior_is_0() -> None:
    zero = torch.zeros(2, 4, 5)
    assert latent_divergence(zero, zero, 2.0).item() == pytest.approx(0, abs=1e-4)


def test_gradcheck() -> None:
    mean, vector = (x.requires_grad_() for x in case(3))
    assert torch.autograd.gradcheck(lambda m, v: latent_divergence(m, v, 1.5), (mean, vector))
    p, q = (x.detach().softmax(1).requires_grad_() for x in (mean, vector))
    assert torch.autograd.gradcheck(soft_dice_loss, (p, q))


@pytest.mark.parametrize("slices", [1, 4])
@pytest.mark.parametrize("spread", [0.0, 1e-20, 100.0, 1000.0])
def test_extreme_vectors_give_finite_values(slices: int, spread: float) -> None:
    mean, vector = (x.float() for x in case(slices, spread))
    vector = vector[:, :1].repeat(1, slices, 1).requires_grad_()  # parallel: the worst case
    loss = latent_divergence(mean, vector, 1.0)
    loss.backward()
    assert torch.isfinite(loss)
    assert vector.grad is not None
    assert torch.isfinite(vector.grad).all()


def test_long_vectors_are_not_saturated() -> None:
    """One slice: tr C = D s^2 + 2 s q + q^2, ln det C = 2 (D - 1) ln s + 2 ln(s + q)."""
    for length in (1.0, 1e2, 1e4, 1e6):
        vector = torch.zeros(1, 1, 5)
        vector[0, 0, 2] = length
        q = length**2
        expected = (2 * q + q**2 - 2 * math.log(1 + q)) / 2
        found = latent_divergence(torch.zeros(1, 1, 5), vector, 1.0).item()
        assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("background", [True, False])
def test_soft_dice(background: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    p, q = torch.randn(2, 2, 3, 4, 5, generator=generator, dtype=torch.float64).softmax(2)
    found = soft_dice_loss(p, q, background=background).item()
    losses = []
    for k in range(0 if background else 1, 3):
        overlap = size = 0.0
        for b in range(2):
            pairs = zip(p[b, k].flatten().tolist(), q[b, k].flatten().tolist(), strict=True)
            for x, y in pairs:
                overlap += x * y
                size += x * x + y * y
        losses.append(1 - (2 * overlap + 1e-5) / (size + 1e-5))
    assert found == pytest.approx(math.fsum(losses) / len(losses), rel=1e-12)
    assert soft_dice_loss(p, p, background=background).item() == pytest.approx(0, abs=1e-12)


def test_soft_dice_of_hard_labels_is_dice() -> None:
    generator = torch.Generator().manual_seed(0)
    p = torch.randn(2, 3, 4, 5, generator=generator).softmax(1)
    labels = torch.randint(2, (2, 4, 5), generator=generator)  # without class 2
    torch.testing.assert_close(soft_dice_loss(p, one_hot(labels, 3)), dice_loss(p, labels))
