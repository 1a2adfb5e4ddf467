"""predict and evaluate with several runs on the command line."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from commandline import call, refused, small, well


@pytest.fixture(scope="module")
def other(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second run on the same data, of another method and size."""
    folder = tmp_path_factory.mktemp("second") / "run"
    settings = [*small(iterations="2"), "--set", "data.size=48"]
    words = ("--method", "supervised", "--labelled", "2", "-o", folder)
    well(call("train", data, *words, *settings))
    return folder


def probabilities(folder: Path) -> np.ndarray:
    (path,) = folder.glob("*_prob.nii.gz")
    return np.asarray(nibabel.load(path).dataobj)


def test_masks_of_two_runs(run: Path, other: Path, phantom: Path, tmp_path: Path) -> None:
    image = phantom / "images" / "phantom010_ED.nii.gz"
    single = []
    for number, one in enumerate((run, other)):
        well(call("predict", one, image, "-o", tmp_path / str(number), "--probabilities"))
        single.append(probabilities(tmp_path / str(number)))
    out = tmp_path / "masks"
    said = well(call("predict", run, other, image, "-o", out, "--probabilities"))
    assert f"ensemble of 2 networks: {run} and {other}" in said.out
    assert "1 mask written" in said.out
    mean = (single[0] + single[1]) / 2
    np.testing.assert_allclose(probabilities(out), mean, atol=1e-6)
    mask = np.asarray(nibabel.load(out / image.name).dataobj)
    sure = np.ptp(np.sort(mean, -1)[..., -2:], axis=-1) > 1e-5  # as stored, some classes are equal
    np.testing.assert_array_equal(mask[sure], mean.argmax(-1)[sure])
    assert "kept: 1 mask already" in well(call("predict", run, other, image, "-o", out)).out
    refused(call("predict", run, image, "-o", out), "contains other masks", run, other)
    dry = well(call("predict", run, other, image, "-o", tmp_path / "dry", "--dry-run"))
    assert "ensemble of 2 networks" in dry.out
    assert not (tmp_path / "dry").exists()


def test_wrong_words_of_an_ensemble(
    run: Path, other: Path, picture_run: Path, phantom: Path, tmp_path: Path
) -> None:
    images, out = phantom / "images", ("-o", tmp_path / "out")
    refused(call("predict", run, other, *out), f"{other} is a run: give images")
    refused(call("predict", images, run, *out), f"{images} is not a run, but {run} is")
    refused(call("predict", run, images, other, *out), f"{other} is a run, but {images} before")
    refused(call("predict", run, other, tmp_path / "lost", *out), "lost does not exist")
    refused(call("predict", run, other.parent, images, *out), "it contains 1 run", other)
    refused(call("predict", run, run, images, *out), f"{run} is given twice")
    refused(call("predict", run, picture_run, images, *out), "cannot be averaged", picture_run)
    refused(call("predict", run, images, *out, "--with-folds"), "has no cross-validation")
    refused(call("predict", run, other, images, *out, "--network", "swin"), "supervised 'swin'")
    refused(call("evaluate", run, other, images), f"{images} is not a run", "MASKS REFERENCES")
    refused(call("evaluate", run, other, "--classes", "a"), "--classes needs masks")
    refused(call("evaluate", run, other, "--overwrite"), "--overwrite", "-o")
    refused(call("evaluate", images, images, "--with-folds"), "--with-folds need a run")
    assert not (tmp_path / "out").exists()


def test_scores_of_two_runs(run: Path, other: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores"
    said = well(call("evaluate", run, other, "--on", "validation", "-o", out))
    assert "ensemble of 2 networks (best weights) on validation" in said.out
    of = json.loads((out / "summary.json").read_text())["of"]
    assert set(of["run"].split(" + ")) == {str(run), str(other)}
    well(call("evaluate", other, run, "--on", "validation", "-o", out))  # the order does not matter
    refused(call("evaluate", other, "--on", "validation", "-o", out), "contains other scores")
