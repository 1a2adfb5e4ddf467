"""Images to segment among DICOM files: what is left out or refused is said, and never ends a batch."""

from pathlib import Path

import numpy as np
import pytest

import dicom_files
import replicas
from semiseg.errors import UserError
from semiseg.formats.dicom import Refused, Series
from semiseg.workflows.inputs import Input, find_images

AFFINE = np.diag([1.0, 1.0, 5.0, 1.0])
VALUES = np.random.default_rng(5).integers(0, 99, (6, 7, 5)).astype(np.int16) * 2


def series(folder: Path, number: int = 0) -> list[dicom_files.FileDataset]:
    files = dicom_files.ct_slices(VALUES, AFFINE, dicom_files.person(number))
    dicom_files.write(files, folder)
    return files


def scout(folder: Path) -> None:
    files = dicom_files.ct_slices(VALUES[..., :1], AFFINE, dicom_files.person(1))
    files[0].ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    dicom_files.write(files, folder)


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    series(tmp_path / "a")
    scout(tmp_path / "b")
    said: list[str] = []
    (found,) = find_images([tmp_path], note=said.append)
    assert isinstance(found, Series)
    assert said == ["left out: series of localisers (1)."]


def test_a_refused_series_is_an_input_that_raises(tmp_path: Path) -> None:
    series(tmp_path / "a")
    files = dicom_files.ct_slices(VALUES, AFFINE, dicom_files.person(1))
    del files[2]
    dicom_files.write(files, tmp_path / "gap")
    found = find_images([tmp_path])
    assert [type(one) for one in found] == [Series, Refused]
    refused = Input((), found[1])  # type: ignore[arg-type]
    assert refused.stem == found[1].name
    assert refused.suffix == ".nii.gz"
    with pytest.raises(UserError, match="gap of 10 mm"):
        refused.read(None)  # type: ignore[arg-type]
    resampled = find_images([tmp_path], "resample")
    assert [type(one) for one in resampled] == [Series, Series]


def test_without_a_series_the_reason_is_said(tmp_path: Path) -> None:
    scout(tmp_path)
    with pytest.raises(
        UserError, match=r"DICOM files but no series of slices: left out: series of loc"
    ):
        find_images([tmp_path])


def test_dicom_beside_other_images_is_said(tmp_path: Path) -> None:
    series(tmp_path / "a")
    replicas.save(tmp_path / "x.nii.gz", VALUES, AFFINE)
    said: list[str] = []
    assert find_images([tmp_path], note=said.append) == [tmp_path / "x.nii.gz"]
    assert said == [f"{tmp_path} also holds DICOM files, which are not read: give their folder."]
