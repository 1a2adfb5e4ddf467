"""A folder that cannot be listed is named; it is never left out without a word."""

import os
from pathlib import Path

import numpy as np
import pytest

import replicas
from semiseg.console import Quiet
from semiseg.errors import UserError
from semiseg.workflows.compare import compare
from semiseg.workflows.inputs import find_images
from semiseg.workflows.prepare import prepare


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two patients; the folder of the second cannot be listed, even if the tests run as root."""
    for name in ("p1", "p2"):
        voxels = replicas.blocks(1, (12, 10, 5))
        replicas.save(tmp_path / "set" / name / "image.nii.gz", np.int16(9) * voxels, np.eye(4))
        replicas.save(tmp_path / "set" / name / "label.nii.gz", voxels, np.eye(4))
    real = os.scandir

    def scandir(path: str = ".") -> object:
        if Path(path).name == "p2":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    def listdir(path: str = ".") -> list[str]:
        return [entry.name for entry in scandir(path)]  # type: ignore[attr-defined]

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(os, "listdir", listdir)
    return tmp_path / "set"


SAID = r"p2 cannot be read \(Permission denied\): allow reading it"


def test_prepare_names_it(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=SAID):
        prepare(folder, tmp_path / "data", console=Quiet())
    assert not (tmp_path / "data").exists()


def test_evaluate_names_it(folder: Path) -> None:
    with pytest.raises(UserError, match=SAID):
        compare(folder, folder, console=Quiet())


def test_predict_names_it(folder: Path) -> None:
    with pytest.raises(UserError, match=SAID):
        find_images([folder / "p2"])
