"""Sliding windows over slices."""

import numpy as np
import pytest
import torch
from torch import Tensor

from semiseg.config import DataConfig
from semiseg.data.task import Intensity, Task, bounds_of, normalise
from semiseg.errors import UserError
from semiseg.inference.crops import CropPredictor
from semiseg.inference.predictors import build_predictor

CONFIG = DataConfig(crop_size=32)
TASK = Task(
    name="x", kind="volumes", channels=2, classes=("background", "a", "b"),
    intensity=Intensity(kind="minmax"), median_shape=(3, 70, 50),
)  # fmt: skip


def pointwise(x: Tensor) -> Tensor:
    """Three classes' logits of a pixel's own values."""
    assert x.shape[1:] == (2, 32, 32)
    return torch.stack([torch.sin(4 * x[:, 0]), torch.cos(3 * x[:, 1]), x.sum(1)], 1)


def image(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 500, shape).astype(np.int16)


@pytest.mark.parametrize("shape", [(3, 2, 70, 50), (1, 2, 20, 33), (2, 2, 32, 32), (1, 2, 10, 10)])
@pytest.mark.parametrize("flips", [False, True])
def test_windows_of_a_pointwise_network_are_the_whole(
    shape: tuple[int, int, int, int], flips: bool
) -> None:
    predictor = build_predictor(pointwise, TASK, CONFIG, flips=flips)
    assert isinstance(predictor, CropPredictor)
    pixels = image(*shape)
    x = torch.from_numpy(normalise(pixels, TASK.intensity, bounds_of(pixels, TASK.intensity)))
    logits = torch.stack([torch.sin(4 * x[:, 0]), torch.cos(3 * x[:, 1]), x.sum(1)], 1)
    expected = logits.softmax(1).numpy()
    found = predictor.probabilities(pixels)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    codes = predictor.predict(pixels)
    assert codes.dtype == np.uint8
    np.testing.assert_array_equal(codes, found.argmax(1))


def test_labels_as_probabilities() -> None:
    predictor = build_predictor(pointwise, TASK, CONFIG, resampling="labels")
    pixels = image(2, 2, 40, 50)
    found = predictor.probabilities(pixels)
    assert set(np.unique(found)) == {0.0, 1.0}
    np.testing.assert_array_equal(found.argmax(1), predictor.predict(pixels))


def test_flips_average_mirrored_copies() -> None:
    def leaning(x: Tensor) -> Tensor:  # the first column alone is class 1
        out = torch.zeros(len(x), 3, 32, 32)
        out[:, 1, :, 0] = 20
        return out

    plain = build_predictor(leaning, TASK, CONFIG).probabilities(image(1, 2, 32, 32))
    both = build_predictor(leaning, TASK, CONFIG, flips=True).probabilities(image(1, 2, 32, 32))
    assert plain[0, 1, 0, -1] == pytest.approx(1 / 3, abs=1e-4)
    assert both[0, 1, 0, -1] == pytest.approx(both[0, 1, 0, 0], abs=1e-6)
    assert both[0, 1, 0, 0] == pytest.approx((1 + 1 / 3) / 2, abs=1e-4)


def test_other_channels_are_refused() -> None:
    with pytest.raises(UserError, match="1 channels"):
        build_predictor(pointwise, TASK, CONFIG).predict(image(1, 1, 40, 40))
