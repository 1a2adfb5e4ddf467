"""The pyramid consistency against a loop over its formula."""

import functools
import math

import pytest
import torch
from torch import Tensor

from semiseg.losses.pyramid import Divergence, pyramid_consistency

DIVERGENCES: list[Divergence] = ["mean-to-scale", "scale-to-mean"]


def logits(shape: tuple[int, ...] = (2, 3, 3, 4)) -> list[Tensor]:
    generator = torch.Generator().manual_seed(5)
    return list(2 * torch.randn(4, *shape, generator=generator, dtype=torch.float64))


def looped(scales: list[Tensor], divergence: Divergence) -> float:
    classes = scales[0].shape[1]
    pixels = [p.movedim(1, -1).reshape(-1, classes).tolist() for p in scales]
    losses = []
    for scale in pixels:
        distances, weights, variances = [], [], []
        for i, own in enumerate(scale):
            mean = [sum(other[i][k] for other in pixels) / len(pixels) for k in range(classes)]
            a, b = (mean, own) if divergence == "mean-to-scale" else (own, mean)
            variance = sum(a[k] * math.log(a[k] / b[k]) for k in range(classes))
            distances.append(sum((mean[k] - own[k]) ** 2 for k in range(classes)) / classes)
            weights.append(math.exp(-variance))
            variances.append(variance)
        rectified = sum(w * d for w, d in zip(weights, distances, strict=True)) / sum(weights)
        losses.append(rectified + sum(variances) / len(variances))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("shape", [(2, 3, 3, 4), (1, 2, 2, 3, 4)])
def test_the_formula(shape: tuple[int, ...], divergence: Divergence) -> None:
    scales = [x.softmax(1) for x in logits(shape)]
    expected = looped(scales, divergence)
    assert pyramid_consistency(scales, divergence).item() == pytest.approx(expected, rel=1e-12)
    assert pyramid_consistency([scales[0]] * 3, divergence).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_gradcheck(divergence: Divergence) -> None:
    given = tuple(x.requires_grad_() for x in logits((1, 3, 2, 2)))
    assert torch.autograd.gradcheck(functools.partial(_of_logits, divergence), given)


def _of_logits(divergence: Divergence, *given: Tensor) -> Tensor:
    return pyramid_consistency([x.softmax(1) for x in given], divergence)


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scale", [0.0, 60.0, 1e4])
def test_extreme_predictions_stay_finite(
    scale: float, dtype: torch.dtype, divergence: Divergence
) -> None:
    given = [(scale * x.clamp(-1, 1)).to(dtype).requires_grad_() for x in logits()]
    value = pyramid_consistency([x.softmax(1) for x in given], divergence)
    value.backward()
    assert value.dtype == torch.float32
    assert torch.isfinite(value)
    for x in given:
        assert x.grad is not None
        assert torch.isfinite(x.grad).all()
