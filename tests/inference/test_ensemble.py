"""An ensemble averages the probabilities of its predictors on the image's grid."""

import numpy as np
import pytest
import torch
from torch import Tensor

from semiseg.config import DataConfig
from semiseg.data.task import Intensity, Task
from semiseg.errors import UserError
from semiseg.inference.confidence import confidence_of
from semiseg.inference.ensemble import Ensemble
from semiseg.inference.predictors import AnyPredictor, build_predictor

SPACING = (2.0, 1.0, 1.0)
PATCH = (4, 16, 16)
CONFIGS = {
    "slices": DataConfig(size=32),
    "larger slices": DataConfig(size=48),
    "crops": DataConfig(crop_size=32),
    "patches": DataConfig(dimensions=3, patch=PATCH),
    "resampled patches": DataConfig(dimensions=3, patch=PATCH, spacing=(1.5, 1.5, 1.5)),
}


def task(kind: str = "minmax", low: float = 0.0, high: float = 1.0) -> Task:
    intensity = Intensity.model_validate({"kind": kind, "low": low, "high": high})
    return Task(
        name="x", kind="volumes", channels=1, classes=("background", "a", "b"),
        intensity=intensity, median_shape=(6, 40, 36), spacing=SPACING,
    )  # fmt: skip


def member(name: str, number: int = 1, of: Task | None = None, flips: bool = False) -> AnyPredictor:
    """A network of its own whose logits depend on a pixel's value and on the row."""

    def logits(x: Tensor) -> Tensor:
        row = torch.linspace(0, 1, x.shape[-2])[:, None]
        return torch.cat([torch.sin(3 * number * x), torch.cos(x + row), number * x - row], 1)

    return build_predictor(logits, of or task(), CONFIGS[name], flips=flips)


def image(slices: int = 6) -> np.ndarray:
    rows, columns = np.mgrid[:40, :36]
    return np.stack([(rows * columns + 50 * z)[None] for z in range(slices)]).astype(np.int16)


@pytest.mark.parametrize(
    "names",
    [
        ("slices", "slices"),
        ("slices", "larger slices", "crops"),
        ("patches", "resampled patches"),
        ("crops", "patches", "slices", "resampled patches"),
    ],
)
@pytest.mark.parametrize("flips", [False, True])
def test_it_is_the_mean_of_the_single_probabilities(names: tuple[str, ...], flips: bool) -> None:
    members = [member(name, number, flips=flips) for number, name in enumerate(names, 1)]
    pixels = image(19)  # more slices than are averaged at once
    single = [one.probabilities(pixels, spacing=SPACING) for one in members]
    expected = np.mean(np.stack(single), axis=0)
    ensemble = Ensemble(members)
    found = ensemble.probabilities(pixels, spacing=SPACING)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float32
    assert any((one.argmax(1) != expected.argmax(1)).any() for one in single)
    segmented = ensemble.segment(pixels, spacing=SPACING)
    np.testing.assert_array_equal(segmented.labels, expected.argmax(1))
    np.testing.assert_array_equal(ensemble.predict(pixels, spacing=SPACING), segmented.labels)
    assert segmented.confidence == pytest.approx(confidence_of(expected), abs=1e-5)


def test_each_member_scales_intensities_as_in_its_training() -> None:
    window, own = task("window", 100, 600), task("minmax")
    pixels = image()
    members = [member("slices", 1, own), member("slices", 2, window)]
    ensemble = Ensemble(members)
    assert ensemble.task == window  # the scaling that some images do not fit
    expected = np.mean([one.probabilities(pixels) for one in members], axis=0)
    np.testing.assert_array_equal(ensemble.probabilities(pixels), expected)
    # given bounds are those of the ensemble's task
    np.testing.assert_array_equal(ensemble.probabilities(pixels, (100, 600)), expected)
    halved = [member("slices", number).probabilities(pixels, (0, 700)) for number in (1, 2)]
    both = Ensemble([member("slices", 1), member("slices", 2)])
    np.testing.assert_array_equal(both.probabilities(pixels, (0, 700)), np.mean(halved, axis=0))


def test_slices_are_averaged_part_by_part() -> None:
    ensemble = Ensemble([member("slices"), member("crops", 2)])
    sizes = [len(values) for _, values in ensemble.parts(image(37))]
    assert sizes == [16, 16, 5]
    with_volumes = Ensemble([member("slices"), member("patches", 2)])
    assert [len(values) for _, values in with_volumes.parts(image(37))] == [37]


def test_what_cannot_be_averaged_is_refused() -> None:
    with pytest.raises(UserError, match="2 channels"):
        Ensemble([member("slices")]).predict(np.zeros((1, 2, 40, 36)))
    with pytest.raises(UserError, match="no spacing"):
        Ensemble([member("slices"), member("resampled patches")]).predict(image())
    codes = build_predictor(lambda x: x, task(), CONFIGS["slices"], resampling="labels")
    with pytest.raises(ValueError, match="averages the probabilities"):
        Ensemble([codes])
    with pytest.raises(ValueError, match="at least one predictor"):
        Ensemble([])
