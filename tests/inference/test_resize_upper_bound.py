"""Resizing a perfect prediction to the original grid reaches the upper bound of the input's size.

The tolerance is 0.005, except at a size near that of the image. There nearest neighbour restores every
pixel and interpolation slightly rounds corners, and Dice is at least 0.97, as at 224 x 224.
"""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from semiseg.config import DataConfig
from semiseg.console import Quiet
from semiseg.data.loader import SliceCache
from semiseg.data.manifest import Case, PreparedData
from semiseg.data.resampling import new_shape, resample_labels
from semiseg.evaluation.overlap import dice
from semiseg.evaluation.resize_upper_bound import resize_upper_bound
from semiseg.inference.predictor import Predictor, Resampling
from semiseg.inference.volumes import VolumePredictor
from semiseg.synthetic.phantom import write_phantom
from semiseg.workflows.prepare import prepare

LOSS = 0.005  # largest difference from the upper bound
KEPT = 0.97
CERTAIN = 30.0  # a logit


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    base = tmp_path_factory.mktemp("phantom")
    write_phantom(base / "source", 3)
    prepare(base / "source", base / "data", console=Quiet())
    return PreparedData(base / "data")


@pytest.fixture(scope="module")
def acdc(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    here = Path(os.environ.get("SEMISEG_DATA", Path(__file__).parents[3] / "shared" / "data"))
    files = sorted((here / "acdc" / "data").glob("*.h5"))
    if not files:
        pytest.skip("ACDC is not there: set SEMISEG_DATA to the folder that holds it")
    base = tmp_path_factory.mktemp("acdc")
    (base / "source" / "data").mkdir(parents=True)
    for path in files[:12]:
        shutil.copy(path, base / "source" / "data")
    (base / "source" / "train.list").write_text("\n".join(path.stem for path in files[:12]))
    prepare(base / "source", base / "data", console=Quiet())
    return PreparedData(base / "data")


class Oracle:
    """Predicts for each slice the label that a training at this size would use."""

    def __init__(self, data: PreparedData, case: Case, size: int) -> None:
        cache = SliceCache(data, size, 64)
        labels = [cache.get(case, index, True)[1] for index in range(case.slices)]
        self.labels = [label for label in labels if label is not None]
        self.classes = len(data.task.classes)

    def __call__(self, images: Tensor) -> Tensor:
        here, self.labels = self.labels[: len(images)], self.labels[len(images) :]
        return CERTAIN * F.one_hot(torch.stack(here).long(), self.classes).movedim(-1, 1)


def scores(masks: list[NDArray[np.uint8]], data: PreparedData) -> dict[str, float]:
    """Mean Dice of each class over the cases of ``data``."""
    labels = [np.asarray(data.label(case.identifier)) for case in data.manifest.cases]
    found = {}
    for code, name in enumerate(data.task.foreground, start=1):
        each = [dice(m == code, t == code) for m, t in zip(masks, labels, strict=True)]
        found[name] = float(np.mean([score for score in each if score is not None]))
    return found


def there_and_back(data: PreparedData, size: int, way: Resampling) -> dict[str, float]:
    masks = []
    for case in data.manifest.cases:
        predictor = Predictor(Oracle(data, case, size), data.task, size, resampling=way)
        masks.append(predictor.predict(np.asarray(data.image(case.identifier)), case.bounds))
    return scores(masks, data)


def upper_bound(data: PreparedData, size: int) -> dict[str, float]:
    labels = (np.asarray(data.label(case.identifier)) for case in data.manifest.cases)
    found = resize_upper_bound(labels, size, data.task.classes)
    return {name: value for name, value in found.items() if value is not None}


WAYS: tuple[Resampling, ...] = ("probabilities", "labels")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [224, 128, 96, 64])
def test_labels_there_and_back(phantom: PreparedData, size: int, way: Resampling) -> None:
    found, best = there_and_back(phantom, size, way), upper_bound(phantom, size)
    assert found.keys() == best.keys() == set(phantom.task.foreground)
    enough = best if way == "labels" else {name: min(v, KEPT + LOSS) for name, v in best.items()}
    assert all(found[name] >= enough[name] - LOSS for name in best), (found, best)
    if size == 224:
        assert min(found.values()) >= KEPT, found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [224, 96])
def test_labels_there_and_back_in_acdc(acdc: PreparedData, size: int, way: Resampling) -> None:
    found, best = there_and_back(acdc, size, way), upper_bound(acdc, size)
    assert all(found[name] >= best[name] - LOSS for name in best), (found, best)
    if size == 224:
        assert min(found.values()) >= KEPT, found


def nearest(label: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Resize by indices along all three axes."""
    places = [
        ((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(shape, label.shape, strict=True)
    ]
    return label[np.ix_(*places)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("spacing", [(4.0, 1.5, 1.5), (8.0, 3.0, 3.0)])
def test_volumes_there_and_back(
    phantom: PreparedData, spacing: tuple[float, float, float], way: Resampling,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """3D: a perfect sliding-window prediction, resampled to the volume's grid."""
    config = DataConfig(dimensions=3, patch=(8, 16, 16), spacing=spacing)
    masks, plain = [], []
    for case in phantom.manifest.cases:
        label, own = np.asarray(phantom.label(case.identifier)), case.spacing
        assert own is not None
        shape = new_shape(label.shape, own, spacing)
        codes = resample_labels(label, shape)
        values = F.one_hot(codes.long(), len(phantom.task.classes)).movedim(-1, 0).float()
        predictor = VolumePredictor(lambda x: x, phantom.task, config, resampling=way)
        monkeypatch.setattr(predictor, "_slide", lambda *_, values=values: values)
        image = np.asarray(phantom.image(case.identifier))
        masks.append(predictor.predict(image, case.bounds, own))
        plain.append(nearest(nearest(label, shape), label.shape))
    found, best = scores(masks, phantom), scores(plain, phantom)
    assert all(found[n] >= min(best[n] - LOSS, KEPT) for n in best), (found, best)
