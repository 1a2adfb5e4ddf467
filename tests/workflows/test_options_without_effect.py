"""Options of prepare and predict that would have no effect beside others are refused, or take effect."""

import json
import shutil
from pathlib import Path

import pytest

import replicas
from semiseg.console import Quiet
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.testing.data import small_settings
from semiseg.workflows.predict import predict
from semiseg.workflows.prepare import prepare
from semiseg.workflows.train import train


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parts": (0.6, 0.2, 0.2)}, "--parts is for a random split, but that of the source"),
        ({"seed": 3}, "--seed 3 is for a random split, but the source gives the split"),
        ({"patient_pattern": "(1)"}, "--patient-pattern does not apply to the layout 'acdc'"),
    ],
)
def test_a_source_with_patients_and_a_split(
    tmp_path: Path, options: dict[str, object], message: str
) -> None:
    replicas.acdc(tmp_path / "set")
    with pytest.raises(UserError, match=message):
        prepare(tmp_path / "set", tmp_path / "data", console=Quiet(), **options)  # type: ignore[arg-type]
    assert not (tmp_path / "data").exists()


def test_a_seed_beside_a_given_split(tmp_path: Path) -> None:
    replicas.volumes(tmp_path / "set", ".nii.gz", 6)
    prepare(tmp_path / "set", tmp_path / "data", seed=3, console=Quiet())
    split = PreparedData(tmp_path / "data").manifest.split
    parts = {part: list(split.part(part)) for part in ("train", "validation", "test")}  # type: ignore[arg-type]
    (tmp_path / "split.json").write_text(json.dumps(parts))
    with pytest.raises(UserError, match="--seed 3 is for a random split, but --split"):
        prepare(
            tmp_path / "set", tmp_path / "other", split=tmp_path / "split.json", seed=3,
            console=Quiet(),
        )  # fmt: skip


def test_probabilities_are_written_for_masks_that_exist(tmp_path: Path) -> None:
    replicas.volumes(tmp_path / "set", ".nii.gz", 6)
    prepare(tmp_path / "set", tmp_path / "data", console=Quiet())
    train(
        tmp_path / "data", tmp_path / "run", method="supervised", device="cpu", console=Quiet(),
        settings=[*small_settings("supervised"), "training.iterations=1"],
    )  # fmt: skip
    image = next((tmp_path / "set").rglob("images*/*.nii.gz"))
    images = tmp_path / "images"
    images.mkdir()
    shutil.copy(image, images)
    words = (tmp_path / "run", [images], tmp_path / "masks")
    assert predict(*words, device="cpu", console=Quiet()).written == 1
    (mask,) = (tmp_path / "masks").glob("*.nii.gz")
    before = mask.read_bytes()
    assert predict(*words, device="cpu", console=Quiet()).written == 0
    assert predict(*words, device="cpu", probabilities=True, console=Quiet()).written == 1
    assert len(list((tmp_path / "masks").glob("*_prob.nii.gz"))) == 1
    assert mask.read_bytes() == before
    assert predict(*words, device="cpu", probabilities=True, console=Quiet()).written == 0
