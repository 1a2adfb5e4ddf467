"""Sliding windows: a pointwise network cannot tell them from the whole; weights, grids, flips."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from semiseg.config import DataConfig
from semiseg.data.manifest import PreparedData
from semiseg.data.resampling import resample
from semiseg.data.task import normalise
from semiseg.errors import UserError
from semiseg.inference.predictor import Predictor
from semiseg.inference.predictors import build_predictor
from semiseg.inference.sliding import slide, window_starts, window_weights
from semiseg.inference.volumes import FLIPS, VolumePredictor
from semiseg.testing.data import write_volumes

CONFIG = DataConfig(dimensions=3, patch=(8, 16, 16))


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    return write_volumes(tmp_path_factory.mktemp("deep") / "data")


def pointwise(x: Tensor) -> Tensor:
    """Three classes' logits of a voxel's own value."""
    return torch.cat([torch.sin(4 * x), torch.cos(3 * x), x], 1)


@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.75])
@pytest.mark.parametrize("shape", [(3, 5, 7), (8, 8, 12), (9, 8, 12), (5, 21, 40), (17, 30, 13)])
def test_windows_of_a_pointwise_network_are_the_whole(
    shape: tuple[int, int, int], overlap: float
) -> None:
    image = torch.rand(1, *shape)
    found = slide(pointwise, image, (8, 8, 12), overlap, batch_size=3)
    torch.testing.assert_close(found, pointwise(image[None])[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(8, 8, 8), (11, 9, 30)])
def test_weights_sum_to_one(shape: tuple[int, int, int]) -> None:
    found = slide(torch.ones_like, torch.zeros(1, *shape), (8, 8, 8))
    torch.testing.assert_close(found, torch.ones(1, *shape), atol=1e-6, rtol=0)


def test_the_middle_of_a_window_counts_most() -> None:
    weights = window_weights((8, 9, 16))
    assert weights.shape == (8, 9, 16)
    for axes in ([0], [1], [2]):
        torch.testing.assert_close(weights, weights.flip(axes))
    assert weights[4, 4, 8] == weights.max() == 1
    assert float(weights.min()) == pytest.approx(1e-3)
    # by the printed formula: sigma an eighth of the side
    ratio = float(weights[4, 6, 8] / weights[4, 4, 8])
    assert ratio == pytest.approx(np.exp(-0.5 * (2 / (9 / 8)) ** 2), rel=1e-4)


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("length", [3, 8, 9, 12, 13, 40, 101])
def test_windows_cover_the_length_and_overlap(length: int, overlap: float) -> None:
    starts = window_starts(length, 8, overlap)
    assert starts[0] == 0
    assert starts[-1] == max(length - 8, 0)
    assert all(0 < b - a <= max(8 * (1 - overlap), 1) for a, b in itertools.pairwise(starts))
    covered = {i for a in starts for i in range(a, a + 8)}
    assert covered >= set(range(length))


def test_seams_are_smoothed() -> None:
    """Windows that disagree: the mean of what each says, by its weights there."""
    count = iter(range(100))

    def counting(x: Tensor) -> Tensor:
        return torch.stack([torch.full_like(one, float(next(count))) for one in x])

    found = slide(counting, torch.zeros(1, 4, 4, 12), (4, 4, 8), 0.5)[0, 2, 2]
    weights = window_weights((4, 4, 8))[2, 2]
    expected = [0.0] * 4 + [float(weights[i] / (weights[i] + weights[i + 4])) for i in range(4)]
    assert found.tolist() == pytest.approx(expected + [1.0] * 4, abs=1e-5)


def predictor(data: PreparedData, config: DataConfig = CONFIG, **more: object) -> VolumePredictor:
    return VolumePredictor(pointwise, data.task, config, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("patient", ["p1", "p2"])
def test_probabilities_and_labels_of_a_volume(volumes: PreparedData, patient: str) -> None:
    case = volumes.cases[patient]
    image = np.asarray(volumes.image(patient))
    values = predictor(volumes).probabilities(image, case.bounds)
    pixels = torch.from_numpy(normalise(image, volumes.task.intensity, case.bounds))
    expected = pointwise(pixels).softmax(1)  # [D, C, H, W]: slices as a batch, for it is pointwise
    np.testing.assert_allclose(values, expected.numpy(), atol=1e-5)
    codes = predictor(volumes).predict(image, case.bounds)
    np.testing.assert_array_equal(codes, values.argmax(1))
    assert codes.dtype == np.uint8


def test_probabilities_come_back_from_another_spacing(volumes: PreparedData) -> None:
    config = DataConfig(dimensions=3, patch=(8, 16, 16), spacing=(1.0, 2.0, 1.0))
    case, image = volumes.cases["p1"], np.asarray(volumes.image("p1"))
    there = predictor(volumes, config)
    values = there.probabilities(image, case.bounds, spacing=(2.0, 1.0, 1.0))
    assert values.shape == (10, 3, 20, 18)
    np.testing.assert_allclose(values.sum(1), 1, atol=1e-5)
    pixels = torch.from_numpy(normalise(image, volumes.task.intensity, case.bounds))[:, 0][None]
    coarse = pointwise(resample(pixels, (20, 10, 18))[None]).softmax(1)[0]
    expected = resample(coarse, (10, 20, 18), antialias=False).movedim(0, 1)
    np.testing.assert_allclose(values, expected.numpy(), atol=1e-5)
    codes = there.predict(image, case.bounds, (2.0, 1.0, 1.0))
    np.testing.assert_array_equal(codes, values.argmax(1))
    nearest = predictor(volumes, config, resampling="labels")
    hard = nearest.predict(image, case.bounds, (2.0, 1.0, 1.0))
    np.testing.assert_array_equal(
        nearest.probabilities(image, case.bounds, spacing=(2.0, 1.0, 1.0)).argmax(1), hard
    )
    np.testing.assert_array_equal(hard[:, 1::2], hard[:, ::2])  # a coarse row is two rows
    with pytest.raises(UserError, match=r"has no spacing.*data\.spacing"):
        there.predict(image, case.bounds)


def test_flips_are_undone_over_all_three_axes(volumes: PreparedData) -> None:
    assert len(set(FLIPS)) == 8
    seen = []

    def sided(x: Tensor) -> Tensor:
        """Knows left from right, front from back, top from bottom: flips must cancel that."""
        seen.append(x.clone())
        ramp = sum(
            torch.linspace(-1, 1, n).reshape([-1 if i == axis else 1 for i in range(3)])
            for axis, n in enumerate(x.shape[2:])
        )
        return torch.cat([x + ramp, -x - ramp, torch.zeros_like(x)], 1)

    image = np.random.default_rng(0).integers(0, 99, (8, 1, 16, 16))  # one window
    bounds = (0.0, 99.0)
    found = VolumePredictor(sided, volumes.task, CONFIG, flips=True).probabilities(image, bounds)
    assert len({tuple(x.flatten().tolist()) for x in seen}) == len(seen) == 8
    mirror = (slice(None, None, -1), slice(None), slice(None, None, -1), slice(None, None, -1))
    mirrored = VolumePredictor(sided, volumes.task, CONFIG, flips=True).probabilities(
        np.ascontiguousarray(image[mirror]), bounds
    )
    np.testing.assert_allclose(mirrored[mirror], found, atol=1e-6)
    once = VolumePredictor(sided, volumes.task, CONFIG).probabilities(image, bounds)
    assert np.abs(found - once).max() > 0.2


@pytest.mark.parametrize(
    ("axes", "expected"),
    [
        ((), {()}),
        ((0,), {(), (-3,)}),
        ((2, 1), {(), (-2,), (-1,), (-2, -1)}),
        ((0, 1, 2), set(FLIPS)),
    ],
)
def test_copies_are_mirrored_along_the_axes_of_the_training(
    volumes: PreparedData, axes: tuple[int, ...], expected: set[tuple[int, ...]]
) -> None:
    config = CONFIG.model_copy(update={"quarter_turns_and_flips": 0.0, "mirror_axes": axes})
    copies = VolumePredictor(pointwise, volumes.task, config, flips=True).flips
    assert set(copies) == expected
    assert copies[0] == ()


def test_wrong_channels_are_refused(volumes: PreparedData) -> None:
    with pytest.raises(UserError, match="2 channels, but the network was trained on 1"):
        predictor(volumes).predict(np.zeros((4, 2, 8, 8), np.int16))


def test_the_configuration_chooses(volumes: PreparedData, tmp_path: Path) -> None:
    assert isinstance(build_predictor(pointwise, volumes.task, CONFIG), VolumePredictor)
    assert isinstance(build_predictor(pointwise, volumes.task, DataConfig(size=32)), Predictor)
