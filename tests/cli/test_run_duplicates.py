"""``semiseg run`` on a few labelled images, some of which are nearly identical."""

import json
from pathlib import Path

import numpy as np
import pytest
from commandline import call, small, well
from PIL import Image
from scipy import ndimage


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Fourteen textures, six with a mask; a, b and j are the same texture."""
    rows, columns = np.mgrid[:64, :64]
    for folder in ("images", "masks"):
        (tmp_path / "set" / folder).mkdir(parents=True)
    for number in range(14):
        rng = np.random.default_rng(0 if number in (0, 1, 9) else number)
        values = ndimage.gaussian_filter(rng.normal(0, 1, (64, 64)), 2) * 400 + 120
        disc = np.hypot(rows - rng.integers(20, 44), columns - rng.integers(20, 44)) < 10
        values = np.where(disc, values - 80, values) * (1 - number / 200)
        name = f"p{chr(ord('a') + number)}.png"
        Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(tmp_path / "set/images" / name)
        if number < 6:
            mask = 255 * disc.astype(np.uint8)
            Image.fromarray(mask).save(tmp_path / "set/masks" / name)
    return tmp_path / "set"


def test_they_are_held_out_together_and_all_labels_train(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("run", source, "-o", out, "--method", "supervised", *small(iterations="1"))
    said = well(call(*words))
    assert "split (6 labelled patients: all are used for training)" in said.out
    planned = json.loads((out / "round.json").read_text())
    folds = planned["folds"]
    assert sorted(p for fold in folds for p in fold) == [f"p{c}" for c in "abcdef"]
    (number,) = [n for n, fold in enumerate(folds) if "pa" in fold]
    assert set(folds[number]) == {"pa", "pb"}
    fold = json.loads((out / f"cross-validation/fold-{number + 1}/split.json").read_text())
    assert not {"pa", "pb", "pj"} & set(fold["split"]["train"])  # also not as an unlabelled image
    final = json.loads((out / "training" / "split.json").read_text())
    assert sorted(final["labelled"]) == [f"p{c}" for c in "abcdef"]
    again = well(call(*words))
    assert "the images and labels have not changed" in again.out
    assert json.loads((out / "round.json").read_text()) == planned
