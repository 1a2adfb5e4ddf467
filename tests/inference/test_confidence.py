"""The confidence of predicted masks: soft Dice confidence of Borges et al. (2024)."""

import numpy as np
import pytest
import torch
from torch import Tensor

from semiseg.config import DataConfig
from semiseg.data.task import Intensity, Task
from semiseg.inference.confidence import confidence_of
from semiseg.inference.predictors import build_predictor

TASK = Task(
    name="x", kind="volumes", channels=1, classes=("background", "a", "b"),
    intensity=Intensity(kind="minmax"), median_shape=(6, 40, 36), spacing=(1.0, 1.0, 1.0),
)  # fmt: skip


def naive(probabilities: np.ndarray) -> float:
    """The printed formula in float64, one pixel after another. [D, K, H, W]."""
    values = np.moveaxis(np.asarray(probabilities, np.float64), 1, -1).reshape(-1, 3)
    own = []
    for code in (1, 2):
        overlap = expected = marked = 0.0
        for pixel in values:
            mask = float(pixel.argmax() == code)
            overlap += pixel[code] * mask
            expected += pixel[code]
            marked += mask
        if marked:
            own.append(2 * overlap / (expected + marked))
    return sum(own) / len(own) if own else 1 - values[:, 1:].max()


@pytest.mark.parametrize("absent", [(), (1,), (1, 2)])
def test_it_is_the_printed_formula(absent: tuple[int, ...]) -> None:
    logits = np.random.default_rng(1).normal(size=(2, 3, 9, 7))
    for code in absent:
        logits[:, code] -= 9
    values = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert confidence_of(values) == pytest.approx(naive(values), rel=1e-5)


def test_certain_masks_have_confidence_one() -> None:
    codes = np.random.default_rng(2).integers(0, 3, (2, 9, 7))
    assert confidence_of(np.moveaxis(np.eye(3)[codes], -1, 1)) == 1.0
    assert confidence_of(np.moveaxis(np.eye(3)[np.zeros_like(codes)], -1, 1)) == 1.0


def pointwise(x: Tensor) -> Tensor:
    """Three classes' logits of a pixel's own value."""
    return torch.cat([torch.sin(4 * x), torch.cos(3 * x), 2 * x - 1], 1)


@pytest.mark.parametrize(
    "config",
    [
        DataConfig(size=32),
        DataConfig(crop_size=32),
        DataConfig(dimensions=3, patch=(4, 32, 32)),
        DataConfig(dimensions=3, patch=(4, 32, 32), spacing=(2.0, 1.5, 1.5)),
    ],
    ids=["slices", "crops", "patches", "resampled patches"],
)
def test_every_predictor_gives_that_of_its_probabilities(config: DataConfig) -> None:
    rows, columns = np.mgrid[:40, :36]
    image = np.stack([(rows * columns + 20 * z)[None] for z in range(6)]).astype(np.int16)
    predictor = build_predictor(pointwise, TASK, config)
    found = predictor.segment(image, spacing=(1.0, 1.0, 1.0))
    values = predictor.probabilities(image, spacing=(1.0, 1.0, 1.0))
    np.testing.assert_array_equal(found.labels, values.argmax(1))
    np.testing.assert_array_equal(found.labels, predictor.predict(image, spacing=(1.0, 1.0, 1.0)))
    assert found.confidence == pytest.approx(confidence_of(values), abs=1e-5)
    assert found.confidence == pytest.approx(naive(values), rel=1e-4)
    assert 0.3 < found.confidence < 0.99
