"""DICOM series: grouping, order, geometry, errors, labels, and no names of patients."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

import dicom_files
import replicas
from semiseg.datasets import detect
from semiseg.datasets.base import Options, Scan
from semiseg.errors import UserError
from semiseg.formats.dicom import series_below, series_name
from semiseg.formats.dicom_pixels import read_series

CODES = replicas.blocks(1, (20, 18, 6))
HU = 2 * replicas.scan_of(CODES, 1)
WHO = dicom_files.person(1)
SHEARED = replicas.oblique() @ np.array(
    [[1, 0, 0, 0], [0, 1, 0.6, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]
)


def scan(folder: Path, options: Options | None = None) -> Scan:
    layout, evidence = detect(folder)
    assert (layout.name, evidence) == ("dicom", "it holds DICOM files")
    return layout.scan(folder, options or Options())


@pytest.mark.parametrize("affine", [replicas.oblique(), SHEARED], ids=["oblique", "sheared"])
@pytest.mark.parametrize("together", [False, True], ids=["files", "enhanced"])
def test_a_series_is_read_with_its_geometry(
    tmp_path: Path, affine: NDArray[np.float64], together: bool
) -> None:
    files = dicom_files.ct_slices(HU, affine, WHO)
    uid = str(files[0].SeriesInstanceUID)
    dicom_files.write([dicom_files.enhanced(files)] if together else files, tmp_path)
    (series,) = series_below(tmp_path).series
    assert series.name == series_name(uid)
    volume = read_series(series)
    np.testing.assert_array_equal(volume.image[:, 0], np.moveaxis(HU, 2, 0))
    assert volume.image.dtype == np.int16
    np.testing.assert_allclose(volume.affine, affine, atol=1e-4)  # type: ignore[arg-type]
    expected = np.linalg.norm(affine[:3, :3], axis=0)
    assert volume.spacing == pytest.approx((expected[2], expected[0], expected[1]), rel=1e-4)


def test_voxels_lie_as_simpleitk_lays_them(tmp_path: Path) -> None:
    dicom_files.write(dicom_files.ct_slices(HU, replicas.oblique(), WHO), tmp_path)
    names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path))
    image = SimpleITK.ReadImage(names)
    volume = read_series(series_below(tmp_path).series[0])
    stored = np.moveaxis(volume.image[:, 0], 0, volume.slice_axis)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0), stored)
    assert volume.affine is not None
    for index in ((0, 0, 0), (19, 17, 5)):
        place = np.array(image.TransformIndexToPhysicalPoint(index)) * (-1, -1, 1)
        np.testing.assert_allclose(
            place, volume.affine[:3, :3] @ index + volume.affine[:3, 3], atol=1e-3
        )


Change = Callable[[list[dicom_files.FileDataset]], None]


def without(index: int) -> Change:
    return lambda files: files.__delitem__(index)


def moved(millimetres: float) -> Change:
    def change(files: list[dicom_files.FileDataset]) -> None:
        place = [float(value) for value in files[3].ImagePositionPatient]
        files[3].ImagePositionPatient = [place[0], place[1], place[2] + millimetres]

    return change


def assign(**values: object) -> Change:
    def change(files: list[dicom_files.FileDataset]) -> None:
        for name, value in values.items():
            setattr(files[2], name, value)

    return change


def smaller(files: list[dicom_files.FileDataset]) -> None:
    files[2].Rows = 10
    files[2].PixelData = files[2].PixelData[: 10 * 20 * 2]


def repeated(files: list[dicom_files.FileDataset]) -> None:
    other = dicom_files.ct_slices(HU, np.diag([1.0, 1.0, 5.0, 1.0]), WHO)
    for one in other:
        one.SeriesInstanceUID = files[0].SeriesInstanceUID
        one.StudyInstanceUID = files[0].StudyInstanceUID
    files += other


FAULTS: dict[str, tuple[Change, str]] = {
    "gap": (without(2), r"gap of 10 mm after slice 2 of 5"),
    "uneven": (moved(0.7), "from even positions"),
    "sizes": (smaller, "slices of 10 x 20 and 18 x 20 pixels"),
    "directions": (
        assign(ImageOrientationPatient=[1, 0, 0, 0, 0, 1]),
        "different directions",
    ),
    "spacings": (assign(PixelSpacing=[2, 2]), "different pixel spacings"),
    "twice": (repeated, "at the position of another slice"),
    "no spacing": (lambda files: files[2].__delattr__("PixelSpacing"), "that has no PixelSpacing"),
    "nan": (assign(PixelSpacing=["nan", "1"]), "position, orientation or"),
}


@pytest.mark.filterwarnings("ignore:Invalid value for VR DS")  # pydicom, of "nan"
@pytest.mark.parametrize("name", FAULTS)
def test_slices_that_make_no_volume(tmp_path: Path, name: str) -> None:
    change, word = FAULTS[name]
    files = dicom_files.ct_slices(HU, np.diag([1.0, 1.0, 5.0, 1.0]), WHO)
    change(files)
    dicom_files.write(files, tmp_path / WHO.name / WHO.identifier)
    found = series_below(tmp_path)
    assert not found.series
    (refused,) = found.refused
    said = str(refused.why)
    assert re.search(word, said)
    assert said.startswith(series_name(files[0].SeriesInstanceUID))
    assert "\n" not in said
    assert not [secret for secret in WHO.forbidden() if secret in said]


def test_a_little_unevenness_is_noted(tmp_path: Path) -> None:
    files = dicom_files.ct_slices(HU, np.diag([1.0, 1.0, 5.0, 1.0]), WHO)
    moved(0.2)(files)
    dicom_files.write(files, tmp_path)
    assert any("positions; treated as even" in note for note in series_below(tmp_path).notes)


def test_pixels_that_cannot_be_decoded(tmp_path: Path) -> None:
    files = dicom_files.ct_slices(HU, np.diag([1.0, 1.0, 5.0, 1.0]), WHO)
    files[2].PixelData = files[2].PixelData[:100]
    dicom_files.write(files, tmp_path / WHO.name)
    (series,) = series_below(tmp_path).series
    with pytest.raises(UserError, match="has pixels that cannot be read") as raised:
        read_series(series)
    assert WHO.name not in str(raised.value)
    files = dicom_files.ct_slices(HU, np.diag([1.0, 1.0, 5.0, 1.0]), WHO)
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEG2000Lossless

    for one in files:
        one.file_meta.TransferSyntaxUID = JPEG2000Lossless
        one.PixelData = encapsulate([b"\xff\x4f\xff\x51 no picture "])
        one["PixelData"].VR = "OB"
    dicom_files.write(files, tmp_path / "other")
    one = next(s for s in series_below(tmp_path).series if s.uid == files[0].SeriesInstanceUID)
    with pytest.raises(UserError, match=r"compressed as 'JPEG 2000.*pylibjpeg"):
        read_series(one)


def test_files_that_only_begin_as_dicom(tmp_path: Path) -> None:
    place = tmp_path / WHO.name
    dicom_files.write(dicom_files.ct_slices(HU, np.eye(4), WHO), place)
    (place / "notes.txt").write_text("no DICOM")
    assert len(series_below(tmp_path).series) == 1
    (place / f"{WHO.identifier}.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\7" * 50)
    (refused,) = series_below(tmp_path).refused
    assert "DICOM file 7 of 7 cannot be read" in str(refused.why)
    assert not [secret for secret in WHO.forbidden() if secret in str(refused.why)]
    cases = scan(tmp_path).cases
    assert len(cases) == 2
    with pytest.raises(UserError, match="DICOM file 7 of 7"):
        next(case for case in cases if not case.files).read()


@pytest.mark.parametrize("label", ["seg", "file"])
def test_labels_beside_the_series(tmp_path: Path, label: str) -> None:
    dicom_files.archive(tmp_path, label)
    result = scan(tmp_path)
    assert len(result.cases) == 6
    assert sum(case.has_label for case in result.cases) == 4
    assert result.classes == (("background", "large", "small") if label == "seg" else None)
    assert any("single slices beside series of several slices (6)" in note for note in result.notes)
    found = {}
    for case in result.cases:
        volume = case.read()
        assert (volume.label is not None) == case.has_label
        for number in range(6):
            if np.array_equal(
                volume.image[:, 0],
                np.moveaxis(2 * replicas.scan_of(replicas.blocks(number), number), 2, 0),
            ):
                found[number] = volume
    assert sorted(found) == list(range(6))
    for number in range(4):
        expected = np.moveaxis(replicas.blocks(number), 2, 0)
        np.testing.assert_array_equal(found[number].label, expected)  # type: ignore[arg-type]


def test_patients_are_numbered_and_stay_together(tmp_path: Path) -> None:
    for number in (0, 0, 1, 2):
        affine = np.diag([1.0, 1.0, 5.0, 1.0])
        files = dicom_files.ct_slices(HU, affine, dicom_files.person(number))
        dicom_files.write(files, tmp_path / str(files[0].SeriesInstanceUID))
    result = scan(tmp_path)
    patients = [case.patient for case in result.cases]
    assert sorted(set(patients)) == ["patient-001", "patient-002", "patient-003"]
    assert sorted(patients.count(p) for p in set(patients)) == [1, 1, 2]
    again = scan(tmp_path)
    assert [(c.identifier, c.patient) for c in again.cases] == [
        (c.identifier, c.patient) for c in result.cases
    ]


def test_anonymous_series_count_by_study(tmp_path: Path) -> None:
    for study in ("1.2.3", "1.2.3", "1.2.4"):
        files = dicom_files.ct_slices(HU, np.diag([1.0, 1.0, 5.0, 1.0]), WHO, study=study)
        for one in files:
            one.PatientID = ""
        dicom_files.write(files, tmp_path / str(files[0].SeriesInstanceUID))
    result = scan(tmp_path)
    assert len({case.patient for case in result.cases}) == 2
    assert any("without a PatientID" in note for note in result.notes)


def test_classes_may_choose_segments(tmp_path: Path) -> None:
    dicom_files.archive(tmp_path, "seg", 3)
    result = scan(tmp_path, Options(classes=("small",)))
    assert result.classes == ("background", "small")
    case = next(case for case in result.cases if case.has_label)
    label = case.read().label
    assert label is not None
    np.testing.assert_array_equal(label, np.moveaxis(replicas.blocks(0) == 2, 2, 0))
    with pytest.raises(UserError, match=r"matches no segment .*large, small"):
        scan(tmp_path, Options(classes=("liver",)))


def test_segments_bring_their_colours(tmp_path: Path) -> None:
    dicom_files.archive(tmp_path, "seg", 3)
    for classes, shown in ((None, {1: 0, 2: 1}), (("small",), {1: 1})):
        colours = scan(tmp_path, Options(classes=classes)).colours
        assert colours.keys() == shown.keys()
        for code, number in shown.items():  # CIELab is stored in 16 bits
            found = [int(colours[code][at : at + 2], 16) for at in (1, 3, 5)]
            np.testing.assert_allclose(found, dicom_files.SHOWN[number], atol=2)


def test_segmentations_that_do_not_fit(tmp_path: Path) -> None:
    affine = np.diag([1.0, 1.0, 5.0, 1.0])
    files = dicom_files.ct_slices(HU, affine, WHO)
    seg = tmp_path / "seg.dcm"
    dicom_files.write(files, tmp_path / "ct")
    dicom_files.segmentation(files, CODES, ("large", "small"), seg, "FRACTIONAL")
    with pytest.raises(UserError, match="is fractional"):
        scan(tmp_path).cases[0].read()
    moved_files = dicom_files.ct_slices(HU, affine, WHO)
    for one, other in zip(moved_files, files, strict=True):
        one.SeriesInstanceUID = other.SeriesInstanceUID
        place = [float(v) for v in one.ImagePositionPatient]
        one.ImagePositionPatient = [place[0] + 0.5, place[1], place[2]]
    dicom_files.segmentation(moved_files, CODES, ("large", "small"), seg)
    with pytest.raises(UserError, match="is not on the grid"):
        scan(tmp_path).cases[0].read()
    dicom_files.segmentation(files, CODES, ("large", "small"), seg)
    dicom_files.segmentation(files, (CODES > 0).astype(np.uint8), ("other",), tmp_path / "b.dcm")
    with pytest.raises(UserError, match="whose segments overlap"):
        scan(tmp_path).cases[0].read()
    (tmp_path / "b.dcm").unlink()
    content = seg.read_bytes()
    seg.write_bytes(content[: len(content) - 400])
    with pytest.raises(UserError, match=r"DICOM-SEG of series-.* cannot be read"):
        scan(tmp_path).cases[0].read()


def test_a_part_that_is_drawn_in_one_slice_only(tmp_path: Path) -> None:
    files = dicom_files.ct_slices(HU, replicas.oblique(), WHO)
    dicom_files.write(files, tmp_path / "ct")
    one_slice = np.zeros_like(CODES)
    one_slice[3:8, 5:9, 4] = 1
    dicom_files.segmentation(files, one_slice, ("lesion",), tmp_path / "seg.dcm")
    label = scan(tmp_path).cases[0].read().label
    assert label is not None
    np.testing.assert_array_equal(label, np.moveaxis(one_slice, 2, 0))


def test_label_files_that_do_not_fit(tmp_path: Path) -> None:
    dicom_files.archive(tmp_path, "file", 3)
    label = next(tmp_path.rglob("*.nii.gz"))
    label.rename(label.with_name(f"other_{label.name}"))
    with pytest.raises(UserError, match="none of 1 label files matches a series"):
        scan(tmp_path)
    label.with_name(f"other_{label.name}").rename(label)
    replicas.save(label, replicas.blocks(0)[:-1], replicas.oblique())
    case = next(case for case in scan(tmp_path).cases if case.has_label)
    with pytest.raises(UserError, match=r"The label of series-.* has shape 25 x 24 x 5") as raised:
        case.read()
    assert str(label) not in str(raised.value)


def test_without_pydicom_the_command_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dicom_files.write(dicom_files.ct_slices(HU, np.eye(4), WHO), tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
    with pytest.raises(UserError, match=r"pip install 'semiseg\[dicom\]'"):
        scan(tmp_path)


def test_a_label_whose_voxels_are_missing_is_said_without_a_name(tmp_path: Path) -> None:
    dicom_files.archive(tmp_path, "file", patients=3, ending=".mhd")
    (missing,) = tmp_path.rglob("*.raw")
    missing.unlink()
    with pytest.raises(UserError, match="is a header without its file of voxels") as raised:
        scan(tmp_path)
    assert not [word for word in dicom_files.person(0).forbidden() if word in str(raised.value)]
