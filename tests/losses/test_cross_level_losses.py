"""Equations 1 and 2 of cross-level against plain loops in double precision."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.losses.cross_level import cross_level_consistency, cross_level_contrast


def embeddings(images: int, cells: int, width: int, seed: int) -> Tensor:
    torch.manual_seed(seed)
    return F.normalize(torch.randn(images, cells, width, dtype=torch.float64), dim=-1)


def printed_contrast(full: Tensor, patches: Tensor, tau: float, others: Tensor) -> float:
    """Equation 1, term by term."""
    losses = []
    for q, k, n in zip(full.numpy(), patches.numpy(), others.numpy(), strict=True):
        for i in range(len(q)):
            positive = math.exp(float(q[i] @ k[i]) / tau)
            negative = sum(math.exp(float(q[i] @ n[j]) / tau) for j in range(len(q)) if j != i)
            losses.append(-math.log(positive / (positive + negative)))
    return math.fsum(losses) / len(losses)


@pytest.mark.parametrize("source", ["full", "patches"])
@pytest.mark.parametrize("shape", [(1, 4, 3), (3, 9, 5), (2, 25, 16)])
def test_equation_1(shape: tuple[int, int, int], source: str) -> None:
    full, patches = embeddings(*shape, seed=0), embeddings(*shape, seed=1)
    expected = printed_contrast(full, patches, 0.07, full if source == "full" else patches)
    found = cross_level_contrast(full, patches, 0.07, negatives_from=source)  # type: ignore[arg-type]
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_the_gradient_of_equation_1() -> None:
    full = embeddings(2, 4, 3, seed=0).requires_grad_()
    patches = embeddings(2, 4, 3, seed=1).requires_grad_()
    for source in ("full", "patches"):
        assert torch.autograd.gradcheck(
            lambda q, k, s=source: cross_level_contrast(q, k, 0.5, negatives_from=s),
            (full, patches),
        )


def test_a_draw_of_all_negatives_is_all_of_them() -> None:
    full, patches = embeddings(2, 9, 4, seed=0), embeddings(2, 9, 4, seed=1)
    dense = cross_level_contrast(full, patches, 0.07)
    assert cross_level_contrast(full, patches, 0.07, negatives=8).item() == dense.item()
    assert cross_level_contrast(full, patches, 0.07, negatives=99).item() == dense.item()


def test_drawn_negatives_are_others_of_the_same_image_each_once() -> None:
    cells = 5
    full = torch.eye(cells, dtype=torch.float64)[None]
    weights = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0], dtype=torch.float64)
    patches = (full * weights[:, None]).clone()
    seen = set()
    for seed in range(40):
        torch.manual_seed(seed)
        # q_i.k_j is 0 for all others: two negatives make log(e^w + 2) - w
        loss = cross_level_contrast(full, patches, 1.0, negatives=2, negatives_from="patches")
        expected = (torch.log(weights.exp() + 2) - weights).mean()
        assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
        # with unequal keys the denominator identifies the pair that was drawn from the four others
        q, k = torch.ones(1, cells, 1, dtype=torch.float64), weights.log()[None, :, None]
        loss = cross_level_contrast(q, k, 1.0, negatives=2, negatives_from="patches")
        total = (5 * loss).exp() * weights.prod()  # the product over queries of w_i + w_j + w_k
        seen.add(round(total.item()))
    others = [[w for w in weights.tolist() if w != own] for own in weights.tolist()]
    sums = [
        {own + a + b for a, b in itertools.combinations(rest, 2)}
        for own, rest in zip(weights.tolist(), others, strict=True)
    ]
    possible = {round(math.prod(choice)) for choice in itertools.product(*sums)}
    assert seen <= possible
    assert len(seen) > 20  # a new draw each time


def test_agreement_is_rewarded() -> None:
    full = embeddings(2, 9, 16, seed=0)
    same = cross_level_contrast(full, full, 0.07)
    assert same.item() < 0.05
    assert same.item() < cross_level_contrast(full, full.flip(1), 0.07).item()


@pytest.mark.parametrize("tau", [1e-3, 0.07, 10.0])
def test_extreme_embeddings_stay_finite(tau: float) -> None:
    same = torch.ones(2, 4, 3) / math.sqrt(3)
    for full, patches in ((same, same), (same, -same), (torch.zeros(2, 4, 3), same)):
        full = full.clone().requires_grad_()
        loss = cross_level_contrast(full, patches, tau)
        loss.backward()
        assert torch.isfinite(loss)
        assert full.grad is not None
        assert torch.isfinite(full.grad).all()


def test_equation_2() -> None:
    rng = np.random.default_rng(0)
    full, patches = rng.random((2, 3, 9, 2, 4, 4))
    expected = np.mean([
        sum(np.mean((patches[b, i] - full[b, i]) ** 2) for i in range(9)) for b in range(3)
    ])  # fmt: skip
    found = cross_level_consistency(torch.from_numpy(full), torch.from_numpy(patches))
    assert found.item() == pytest.approx(float(expected), rel=1e-12)


def test_the_gradient_of_equation_2() -> None:
    torch.manual_seed(0)
    full, patches = (torch.rand(2, 4, 1, 2, 2, dtype=torch.float64) for _ in range(2))
    assert torch.autograd.gradcheck(
        cross_level_consistency, (full.requires_grad_(), patches.requires_grad_())
    )
