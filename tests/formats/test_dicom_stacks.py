"""DICOM series whose files or slices are unusual: scouts, tilt, distances, identifiers, prefixes."""

import os
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import generate_uid

import dicom_files
from semiseg.errors import UserError
from semiseg.formats.dicom import series_below, series_name
from semiseg.formats.dicom_files import holds_dicom, is_dicom
from semiseg.formats.dicom_pixels import read_series
from semiseg.formats.stack import Uneven

AFFINE = np.diag([1.0, 1.0, 4.0, 1.0])
VALUES = np.random.default_rng(4).integers(0, 400, (7, 6, 6)).astype(np.int16) * 2
EXPECTED = np.moveaxis(VALUES, 2, 0)
WHO = dicom_files.person(3)
Files = list[FileDataset]


def slices() -> Files:
    return dicom_files.ct_slices(VALUES, AFFINE, WHO)


def scout(files: Files, kind: str) -> FileDataset:
    """A coronal image of the same series."""
    (one,) = dicom_files.ct_slices(VALUES[..., :1], AFFINE, WHO, files[0].SeriesInstanceUID,
                                   files[0].StudyInstanceUID)  # fmt: skip
    one.ImageType = ["ORIGINAL", "PRIMARY", kind]
    one.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    return one


def placed(heights: list[float]) -> Files:
    files = slices()
    for one, height in zip(files, heights, strict=True):
        one.ImagePositionPatient = [0, 0, height]
    return files


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("LOCALIZER", "left out: localisers within a series of slices (1)."),
        ("AXIAL", "left out: 1 slice of another size or direction than the rest of the series "
                  "(usually scouts)."),
    ],
)  # fmt: skip
def test_a_scout_in_a_series_is_left_out_alone(tmp_path: Path, kind: str, said: str) -> None:
    files = slices()
    dicom_files.write([*files, scout(files, kind)], tmp_path)
    found = series_below(tmp_path)
    np.testing.assert_array_equal(read_series(found.series[0]).image[:, 0], EXPECTED)
    assert found.notes == (said,)


def test_a_colour_picture_in_a_series_is_left_out_alone(tmp_path: Path) -> None:
    files = slices()
    other = scout(files, "AXIAL")
    other.SamplesPerPixel, other.PhotometricInterpretation = 3, "RGB"
    other.PixelData *= 3
    dicom_files.write([*files, other], tmp_path)
    found = series_below(tmp_path)
    assert len(found.series[0].stack.slices) == 6
    assert found.notes == ("left out: coloured images within a series of slices (1).",)


def test_other_objects_are_named(tmp_path: Path) -> None:
    files = slices()
    dose = scout(files, "AXIAL")
    dose.Modality, dose.SeriesInstanceUID, dose.NumberOfFrames = "RTDOSE", generate_uid(), 3
    contours = scout(files, "AXIAL")
    contours.Modality, contours.SeriesInstanceUID = "RTSTRUCT", generate_uid()
    del contours.Rows, contours.Columns, contours.PixelData
    dicom_files.write([*files, dose, contours], tmp_path)
    found = series_below(tmp_path)
    assert len(found.series) == 1
    assert not found.refused
    assert any("RT structure sets" in note and "(1)" in note for note in found.notes)
    assert "left out: RT dose distributions (1)." in found.notes


def test_a_tilted_gantry_is_said(tmp_path: Path) -> None:
    files = slices()
    for number, one in enumerate(files):
        one.ImagePositionPatient = [0, 1.5 * number, 4 * number]
    dicom_files.write(files, tmp_path)
    found = series_below(tmp_path)
    assert any("sheared by 20.6 degrees" in note for note in found.notes)
    volume = read_series(found.series[0])
    assert volume.affine is not None
    np.testing.assert_allclose(volume.affine[:3, 2], [0, -1.5, 4], atol=1e-6)


@pytest.mark.parametrize(
    ("heights", "said"),
    [
        ([0, 4, 8, 12, 19, 26], "(slices 1 to 4: 4 mm, slices 4 to 6: 7 mm)"),
        ([0, 5, 10, 20, 30, 40], "(slices 1 to 3: 5 mm, slices 3 to 6: 10 mm)"),
        ([0, 4, 8, 16, 20, 24], "gap of 8 mm after slice 3 of 6"),
    ],
)
def test_uneven_slices_are_refused_with_their_distances(
    tmp_path: Path, heights: list[float], said: str
) -> None:
    dicom_files.write(placed(heights), tmp_path)
    why = str(series_below(tmp_path).refused[0].why)
    assert said in why or heights[1] == 5
    assert "--uneven-slices resample" in why


def test_uneven_slices_are_resampled_if_asked(tmp_path: Path) -> None:
    dicom_files.write(placed([0, 4, 8, 12, 19, 26]), tmp_path)
    found = series_below(tmp_path, "resample")
    volume = read_series(found.series[0])
    assert volume.spacing is not None
    assert volume.spacing[0] == pytest.approx(4)
    image = volume.image[:, 0]
    assert len(image) == 8  # 0, 4, ..., 28 mm cover 0 to 26
    np.testing.assert_array_equal(image[:4], EXPECTED[:4])
    between = EXPECTED[3] + (EXPECTED[4].astype(float) - EXPECTED[3]) * 4 / 7
    np.testing.assert_allclose(image[4], between, rtol=1e-5)
    np.testing.assert_array_equal(image[7], EXPECTED[5])
    assert any("6 slices 4 to 7 mm apart are resampled to 8 slices" in n for n in found.notes)


@pytest.mark.parametrize(
    ("uneven", "heights", "said"),
    [
        ("resample", [0, 1, 2, 3, 4, 20], "too uneven"),
        ("resample", [0, 4, 8, 8, 12, 16], "at the position of another slice"),
    ],
)
def test_what_cannot_be_resampled(
    tmp_path: Path, uneven: Uneven, heights: list[float], said: str
) -> None:
    dicom_files.write(placed(heights), tmp_path)
    assert said in str(series_below(tmp_path, uneven).refused[0].why)


@pytest.mark.parametrize("implicit", [False, True])
def test_files_without_the_prefix(tmp_path: Path, implicit: bool) -> None:
    for number, one in enumerate(slices()):
        path = tmp_path / f"IM{number}"
        if implicit:
            del one.file_meta
        one.preamble = None
        one.save_as(path, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
        assert path.read_bytes()[128:132] != b"DICM"
        assert is_dicom(path)
    found = series_below(tmp_path)
    np.testing.assert_array_equal(read_series(found.series[0]).image[:, 0], EXPECTED)


def test_other_files_are_not_taken_for_dicom_without_prefix(tmp_path: Path) -> None:
    for number, content in enumerate((b"", b"\x08\x00", b"\x08\x00\x05\x00abc", bytes(2000), b"\x02\0" * 600,
                                      b"text " * 100)):  # fmt: skip
        (tmp_path / f"a{number}").write_bytes(content)
    os.mkfifo(tmp_path / "pipe")
    assert not holds_dicom(tmp_path)


def test_blanked_identifiers(tmp_path: Path) -> None:
    files = slices()
    for one in files:
        one.SOPClassUID = one.SOPInstanceUID = ""
        del one.file_meta.MediaStorageSOPClassUID
    tmp_path.joinpath("a").mkdir()
    for number, one in enumerate(files):
        one.save_as(tmp_path / "a" / f"IM{number}", enforce_file_format=False)
        one.file_meta.MediaStorageSOPClassUID = dicom_files.CT
    found = series_below(tmp_path)
    np.testing.assert_array_equal(read_series(found.series[0]).image[:, 0], EXPECTED)
    for one in files:
        one.SOPInstanceUID = "1.2.3"  # the same for all
    dicom_files.write(files, tmp_path / "b")
    found = series_below(tmp_path / "b")
    assert len(found.series[0].stack.slices) == 6
    for one in files:
        one.SeriesInstanceUID = ""
    dicom_files.write(files, tmp_path / "c")
    found = series_below(tmp_path / "c")
    assert not found.series
    assert found.notes == ("left out: images without a SeriesInstanceUID (6).",)


def test_a_copied_file_counts_once(tmp_path: Path) -> None:
    files = slices()
    dicom_files.write(files, tmp_path)
    files[2].save_as(tmp_path / "copy")
    assert len(series_below(tmp_path).series[0].stack.slices) == 6


def test_one_series_uid_of_two_patients_is_refused(tmp_path: Path) -> None:
    files = slices()
    files[4].PatientID = "another"
    dicom_files.write(files, tmp_path)
    (refused,) = series_below(tmp_path).refused
    assert refused.name == series_name(files[0].SeriesInstanceUID)
    assert "files of 2 patients" in str(refused.why)
    assert "another" not in str(refused.why)


def test_one_bad_series_does_not_hide_the_others(tmp_path: Path) -> None:
    dicom_files.write(slices(), tmp_path / "good")
    bad = slices()
    del bad[2]
    dicom_files.write(bad, tmp_path / "bad")
    found = series_below(tmp_path)
    assert len(found.series) == len(found.refused) == 1


def test_folders_and_files_that_cannot_be_opened_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dicom_files.write(slices(), tmp_path / "good")
    dicom_files.write(slices(), tmp_path / WHO.name)
    real = os.scandir

    def scandir(path: str) -> object:
        if os.fspath(path).endswith(WHO.name):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = series_below(tmp_path)
    assert len(found.series) == 1
    (refused,) = found.refused
    assert "1 folder below it cannot be opened" in str(refused.why)
    assert WHO.name not in str(refused.why)
    with pytest.raises(UserError, match="1 folder below it"):
        raise refused.why


def test_a_link_that_leads_out_is_said_without_names(tmp_path: Path) -> None:
    dicom_files.write(slices(), tmp_path / "set")
    (tmp_path / WHO.name).mkdir()
    (tmp_path / "set" / WHO.name).symlink_to(tmp_path / WHO.name)
    assert holds_dicom(tmp_path / "set")
    with pytest.raises(UserError, match="has a link to a folder outside of it") as raised:
        series_below(tmp_path / "set")
    assert WHO.name not in str(raised.value)
