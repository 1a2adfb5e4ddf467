"""A trained network predicts arrays and files, and refuses invalid shapes."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import semiseg
from semiseg.config import DataConfig
from semiseg.console import Quiet
from semiseg.data.manifest import PreparedData
from semiseg.data.task import Intensity, Task
from semiseg.errors import UserError
from semiseg.inference.predictors import build_predictor
from semiseg.workflows.model import Model

RNG = np.random.default_rng(0)


def model_of(channels: int, kind: str = "pictures", dimensions: int = 2) -> Model:
    """A model without a run that predicts two classes from the sum of the channels."""
    window = Intensity(kind="window", low=0, high=255)
    task = Task(
        name="t", kind=kind, channels=channels, classes=("background", "bright"), intensity=window,
        median_shape=(1, 40, 30),
    )  # fmt: skip
    config = DataConfig(dimensions=dimensions, size=32, patch=(4, 16, 16))

    def logits(images: Tensor) -> Tensor:
        bright = images.mean(1, keepdim=True) - 0.5
        return torch.cat([-bright, bright], 1) * 100

    predictor = build_predictor(logits, task, config)
    return Model(predictor, Path("run"), "supervised", "unet", "best", dimensions)


def bright(*shape: int) -> np.ndarray[Any, Any]:
    image = np.zeros(shape, np.uint8)
    image[..., : shape[-1] // 2] = 255
    return image


@pytest.mark.parametrize(
    ("channels", "kind", "dimensions", "given", "labels"),
    [
        (1, "volumes", 2, (40, 30), (40, 30)),
        (1, "volumes", 2, (5, 40, 30), (5, 40, 30)),
        (1, "volumes", 2, (5, 1, 40, 30), (5, 40, 30)),
        (1, "volumes", 2, (1, 40, 30), (1, 40, 30)),
        (3, "pictures", 2, (3, 40, 30), (40, 30)),
        (3, "pictures", 2, (5, 3, 40, 30), (5, 40, 30)),
        (2, "volumes", 2, (2, 40, 30), (40, 30)),
        (1, "volumes", 3, (5, 40, 30), (5, 40, 30)),
        (2, "volumes", 3, (5, 2, 40, 30), (5, 40, 30)),
    ],
)
def test_labels_have_the_shape_of_the_image(
    channels: int, kind: str, dimensions: int, given: tuple[int, ...], labels: tuple[int, ...]
) -> None:
    model, image = model_of(channels, kind, dimensions), bright(*given)
    found = model.predict(image)
    assert (found.shape, found.dtype) == (labels, np.uint8)
    assert (found[..., :10] == 1).all()
    assert (found[..., 20:] == 0).all()
    values = model.predict(image, probabilities=True)
    spatial = labels[-2:] if len(labels) == 2 else labels
    assert (values.shape, values.dtype) == ((2, *spatial), np.float32)
    np.testing.assert_allclose(values.sum(0), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("channels", "kind", "dimensions", "given", "words"),
    [
        (1, "volumes", 2, (40,), r"shape 40 does not fit .* 1 channel: give \[H, W\], \[D, H, W\] or"),
        (1, "volumes", 2, (3, 3, 40, 30), r"or \[D, 1, H, W\]"),
        (1, "volumes", 2, (0, 40, 30), "does not fit"),
        (3, "pictures", 2, (40, 30), r"3 channels: give \[3, H, W\] or \[D, 3, H, W\]"),
        (3, "pictures", 2, (5, 40, 30), r"give \[3, H, W\] or"),
        (3, "pictures", 2, (40, 30, 3), r"colours last: give \[3, H, W\] .* np\.moveaxis"),
        (1, "pictures", 2, (40, 30, 3), "colours last: .* converted to grey"),
        (1, "volumes", 3, (40, 30), r"three dimensions: give \[D, H, W\] or \[D, 1, H, W\]"),
        (2, "volumes", 3, (2, 40, 30), r"give \[D, 2, H, W\]\."),
        (2, "volumes", 2, (2, 5, 40, 30), r"give \[2, H, W\] or \[D, 2, H, W\]"),
    ],
)  # fmt: skip
def test_other_shapes_are_refused_with_those_that_fit(
    channels: int, kind: str, dimensions: int, given: tuple[int, ...], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        model_of(channels, kind, dimensions).predict(np.zeros(given))


def test_values_that_cannot_be_meant_are_refused() -> None:
    model = model_of(3)
    with pytest.raises(UserError, match="trained on 0 to 255"):
        model.predict(bright(3, 40, 30) / 255)
    with pytest.raises(UserError, match="NaN or infinite"):
        model.predict(np.full((3, 40, 30), np.nan))
    with pytest.raises(UserError, match="must contain numbers"):
        model.predict(np.full((3, 40, 30), "a"))
    with pytest.raises(UserError, match="three positive numbers in mm"):
        model.predict(bright(3, 40, 30), spacing=(1, 0, 1))


def test_a_file_gives_what_predict_writes(run: Path, tmp_path: Path) -> None:
    image = RNG.integers(0, 500, (40, 37, 3)).astype(np.int16)
    path = tmp_path / "patient7.nii.gz"
    nibabel.save(nibabel.Nifti1Image(image, np.diag([1.5, 1.5, 8, 1])), path)
    done = semiseg.predict(run, [path], tmp_path / "masks", console=Quiet())
    assert done.failed == ()
    written = np.asarray(nibabel.load(tmp_path / "masks" / "patient7.nii.gz").dataobj)
    model = semiseg.load(run)
    np.testing.assert_array_equal(model.predict(path), written)
    np.testing.assert_array_equal(model.predict(str(path), probabilities=True).argmax(0), written)
    # slices first, as in a prepared data set
    np.testing.assert_array_equal(
        np.moveaxis(model.predict(np.moveaxis(image, 2, 0)), 0, 2), written
    )
    with pytest.raises(UserError, match="does not exist"):
        model.predict(tmp_path / "lost.nii")
    (tmp_path / "copy.nii.gz").write_bytes(path.read_bytes())
    with pytest.raises(UserError, match="contains 2 images"):
        model.predict(tmp_path)


def test_a_picture_gives_rows_and_columns(tmp_path: Path) -> None:
    Image.fromarray(np.moveaxis(bright(3, 40, 30), 0, -1)).save(tmp_path / "p.png")
    model = model_of(3)
    assert model.predict(tmp_path / "p.png").shape == (40, 30)
    assert model.predict(tmp_path / "p.png", probabilities=True).shape == (2, 40, 30)


def test_what_is_loaded_is_said(run: Path, small_data: PreparedData, tmp_path: Path) -> None:
    model = semiseg.load(run, weights="step-2")
    assert model.classes == small_data.task.classes
    assert model.channels == 1
    words = repr(model)
    assert words.startswith("Model(run=")
    for part in ("method='plgcl'", "weights='step-2'", "'disc'", "channels=1", "network='"):
        assert part in words
    with pytest.raises(UserError, match="Unknown network of plgcl"):
        semiseg.load(run, network="nothing")
    summary = semiseg.evaluate(run, on="validation", out=tmp_path / "scores", console=Quiet())
    assert repr(summary).startswith("Summary(cases=2, dice=")
    assert len(repr(summary)) < 200
