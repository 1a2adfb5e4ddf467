"""Equations 2, 3 and 5 of PLGCL against plain loops in double precision, and the bound itself."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from semiseg.losses.plgcl import binary_entropy, gaussian_contrast, nearest

Vectors = NDArray[np.float64]


def embeddings(count: int, width: int = 6, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return F.normalize(torch.randn(count, width, dtype=torch.float64), dim=1)


def log_moment(f: Vectors, keys: Vectors, tau: float, scale: float) -> float:
    """f.mu/tau + lambda/(2 tau^2) f.sigma f with the mean and the covariance matrix of the keys."""
    mu = keys.mean(0)
    sigma = (keys - mu).T @ (keys - mu) / len(keys)
    return float(f @ mu / tau + scale / (2 * tau**2) * f @ sigma @ f)


def printed(
    f: Vectors, classes: list[int], positives: list[list[int]], tau: float, scale: float,
    rest: bool = False,
) -> float:  # fmt: skip
    """Equation 5 with explicit mu and sigma, anchor by anchor."""
    losses = []
    for u, chosen in enumerate(positives):
        if not chosen:
            continue
        mu = f[chosen].mean(0)
        total = math.exp(log_moment(f[u], f[chosen], tau, scale))
        groups = [[v for v, k in enumerate(classes) if k == c] for c in set(classes) - {classes[u]}]
        if rest:
            left = [v for v, k in enumerate(classes) if k == classes[u] and v != u]
            groups.append([v for v in left if v not in chosen])
        for keys in groups:
            if keys:
                total += len(keys) * math.exp(log_moment(f[u], f[keys], tau, scale))
        losses.append(math.log(total) - float(f[u] @ mu) / tau)
    return math.fsum(losses) / len(losses) if losses else 0.0


def neighbours_by_loop(values: list[float], classes: list[int], n: int) -> list[list[int]]:
    out = []
    for u, value in enumerate(values):
        own = [v for v, k in enumerate(classes) if k == classes[u] and v != u]
        out.append(sorted(sorted(own, key=lambda v: abs(values[v] - value))[:n]))
    return out


def as_mask(positives: list[list[int]]) -> Tensor:
    mask = torch.zeros(len(positives), len(positives), dtype=torch.bool)
    for u, chosen in enumerate(positives):
        mask[u, chosen] = True
    return mask


def test_equation_3() -> None:
    x = torch.tensor([0.0, 1e-12, 0.1, 0.5, 0.9, 1.0], dtype=torch.float64)
    expected = [
        sum(-p * math.log(p) for p in (v, 1 - v) if p > 0) for v in x.tolist()
    ]  # fmt: skip
    assert binary_entropy(x).tolist() == pytest.approx(expected, abs=1e-15)
    assert binary_entropy(x)[3].item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("n", [1, 3, 20])
def test_positives_are_the_nearest_of_the_class(n: int) -> None:
    rng = np.random.default_rng(n)
    values, classes = rng.random(30), rng.integers(0, 4, 30)
    classes[classes == 3] = 0
    classes[7] = 3  # a class with one patch: no positives
    distance = torch.from_numpy(np.abs(values[:, None] - values))
    mask = nearest(distance, torch.from_numpy(classes), n)
    expected = neighbours_by_loop(values.tolist(), classes.tolist(), n)
    assert [row.nonzero()[:, 0].tolist() for row in mask] == expected
    assert not mask[7].any()


@pytest.mark.parametrize("rest", [False, True])
@pytest.mark.parametrize("scale", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("n", [1, 2, 20])
def test_equation_5(n: int, scale: float, rest: bool) -> None:
    f = embeddings(24)
    rng = np.random.default_rng(1)
    classes = [int(k) for k in rng.choice([0, 1, 3], 24)] + [2]  # class 2 has one, class 4 none
    f = torch.cat([f, embeddings(1, seed=9)])
    positives = neighbours_by_loop(rng.random(25).tolist(), classes, n)
    expected = printed(f.numpy(), classes, positives, 0.2, scale, rest)
    found = gaussian_contrast(
        f, torch.tensor(classes), as_mask(positives), 5, 0.2, scale, rest_is_negative=rest
    )
    assert found.item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("rest", [False, True])
def test_the_gradient_of_equation_5(rest: bool) -> None:
    f = embeddings(9, 4).requires_grad_()
    classes = torch.tensor([0, 0, 0, 0, 1, 1, 1, 2, 2])
    positives = nearest(torch.rand(9, 9), classes, 2)
    assert torch.autograd.gradcheck(
        lambda x: gaussian_contrast(x, classes, positives, 4, 0.5, 4.0, rest), (f,)
    )


def expected_infonce(
    f: Vectors, positive: tuple[Vectors, Vectors], negatives: list[tuple[Vectors, Vectors, int]],
    tau: float, draws: int = 20_000,
) -> tuple[float, float]:  # fmt: skip
    """Equation 4 by sampling: its mean and the standard error."""
    rng = np.random.default_rng(0)
    own = rng.multivariate_normal(*positive, draws) @ f / tau
    total = np.exp(own)
    for mu, sigma, count in negatives:
        keys = rng.multivariate_normal(mu, sigma, (draws, count)) @ f / tau
        total += np.exp(keys).sum(1)
    losses = np.log(total) - own
    return float(losses.mean()), float(losses.std() / math.sqrt(draws))


def closed_form(
    f: Vectors, positive: tuple[Vectors, Vectors], negatives: list[tuple[Vectors, Vectors, int]],
    tau: float, scale: float,
) -> float:  # fmt: skip
    """Our loss on keys with these means and covariances: two keys per eigenvector."""

    def keys(mu: Vectors, sigma: Vectors) -> Vectors:
        values, axes = np.linalg.eigh(sigma)
        steps = np.sqrt(np.maximum(values, 0) * len(mu)) * axes
        return np.concatenate([mu + steps.T, mu - steps.T])

    groups = [keys(*positive)] + [keys(mu, sigma) for mu, sigma, _ in negatives]
    classes = [0] + [k for k, group in enumerate(groups) for _ in group]
    points = torch.from_numpy(np.concatenate([f[None], *groups]))
    positives = torch.zeros(len(points), len(points), dtype=torch.bool)
    positives[0, 1 : len(groups[0]) + 1] = True
    found = gaussian_contrast(points, torch.tensor(classes), positives, len(groups), tau, scale)
    made = {len(group) for group in groups}
    assert {count for _, _, count in negatives} <= made  # so that zeta is the number of keys
    return found.item()


def covariance(trace: float, seed: int, width: int = 4) -> Vectors:
    root = np.random.default_rng(seed).normal(size=(width, width))
    sigma = root @ root.T
    return sigma * trace / np.trace(sigma)


def unit(seed: int, width: int = 4) -> Vectors:
    x = np.random.default_rng(seed).normal(size=width)
    return x / np.linalg.norm(x)


@pytest.mark.parametrize("trace", [0.002, 0.05, 0.2])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_closed_form_lies_above_the_expectation(seed: int, trace: float) -> None:
    f = unit(seed)
    positive = (0.9 * unit(seed + 10), covariance(trace, seed + 20))
    negatives = [(0.9 * unit(seed + 30 + k), covariance(trace, seed + 40 + k), 8) for k in range(3)]
    mean, error = expected_infonce(f, positive, negatives, 0.2)
    bound = closed_form(f, positive, negatives, 0.2, 1.0)
    assert bound > mean - 3 * error
    if trace == 0.002:
        assert bound == pytest.approx(mean, rel=1e-3)
    assert closed_form(f, positive, negatives, 0.2, 4.0) > bound


def test_one_key_a_class_without_spread_is_infonce() -> None:
    f = embeddings(5)
    classes = torch.tensor([0, 0, 1, 2, 3])
    positives = as_mask([[1], [], [], [], []])
    similarity = (f[0] @ f.T / 0.2).tolist()
    expected = -math.log(
        math.exp(similarity[1]) / sum(math.exp(s) for s in similarity[1:])
    )  # fmt: skip
    found = gaussian_contrast(f, classes, positives, 4, 0.2, 4.0)
    assert found.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("classes", [[0, 0, 0], [0, 1, 2], [2, 2, 1]])
def test_few_patches_and_classes_stay_finite(classes: list[int]) -> None:
    codes = torch.tensor(classes)
    for f in (torch.zeros(3, 4), torch.ones(3, 4) / 2, F.normalize(torch.randn(3, 4), dim=1)):
        f = f.clone().requires_grad_()
        loss = gaussian_contrast(f, codes, nearest(torch.zeros(3, 3), codes, 20), 4, 0.2, 4.0)
        loss.backward()
        assert torch.isfinite(loss)
        assert f.grad is not None
        assert torch.isfinite(f.grad).all()
    if len(set(classes)) == 3:
        assert loss.item() == 0  # no anchor has a positive
