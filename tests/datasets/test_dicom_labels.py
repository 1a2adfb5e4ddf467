"""Labels and patients of DICOM series: which DICOM-SEG belongs where, readers, classes, patients."""

import copy
from pathlib import Path

import highdicom
import nibabel
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.uid import generate_uid

import dicom_files
import replicas
from consoles import Listening
from semiseg.datasets.base import Options, Scan
from semiseg.datasets.dicom import Dicom
from semiseg.errors import UserError
from semiseg.workflows.prepare import prepare

AFFINE = np.diag([1.0, 1.0, 5.0, 1.0])
CODES = replicas.blocks(1, (21, 17, 6))  # frames of 357 pixels, not a whole number of bytes
HU = 2 * replicas.scan_of(CODES, 1)
BINARY = (CODES > 0).astype(np.uint8)
Files = list[FileDataset]


def scan(folder: Path, **options: object) -> Scan:
    return Dicom().scan(folder, Options(**options))  # type: ignore[arg-type]


def series(folder: Path, number: int = 0) -> Files:
    files = dicom_files.ct_slices(HU, AFFINE, dicom_files.person(number))
    dicom_files.write(files, folder / f"ct{number}")
    return files


def draw(
    path: Path, files: Files, label: NDArray[np.uint8], name: str = "Tumor", **entries: object
) -> None:
    """Write a DICOM-SEG and change or (None) remove entries of its header."""
    dicom_files.segmentation(files, label, (name,), path)
    made = pydicom.dcmread(path)
    for key, value in entries.items():
        if value is None:
            delattr(made, key)
        else:
            setattr(made, key, value)
    made.save_as(path)


def without_sources(path: Path) -> None:
    made = pydicom.dcmread(path)
    made.SourceImageSequence = []
    for frame in made.PerFrameFunctionalGroupsSequence:
        del frame.DerivationImageSequence
    made.save_as(path)


def labels(result: Scan) -> dict[str, NDArray[np.uint8]]:
    return {
        case.identifier: label
        for case in result.cases
        if case.has_label and (label := case.read().label) is not None
    }


def expect_label(result: Scan, label: NDArray[np.uint8] = BINARY) -> None:
    (found,) = labels(result).values()
    np.testing.assert_array_equal(found, np.moveaxis(label, 2, 0))


@pytest.mark.parametrize("sources", [True, False], ids=["images", "coordinates"])
def test_without_a_reference_the_series_is_found(tmp_path: Path, sources: bool) -> None:
    files = series(tmp_path)
    series(tmp_path, 1)
    draw(tmp_path / "seg.dcm", files, BINARY, ReferencedSeriesSequence=None)
    if not sources:
        without_sources(tmp_path / "seg.dcm")
    result = scan(tmp_path)
    expect_label(result)
    assert any("1 DICOM-SEG without a reference to a series" in note for note in result.notes)


def test_without_a_reference_two_series_on_one_grid_are_an_open_question(tmp_path: Path) -> None:
    files = series(tmp_path)
    uid = generate_uid()
    for one in files:
        one.SeriesInstanceUID = uid
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dicom_files.write(files, tmp_path / "other")
    draw(tmp_path / "seg.dcm", files, BINARY, ReferencedSeriesSequence=None)
    without_sources(tmp_path / "seg.dcm")
    result = scan(tmp_path)
    assert not labels(result)
    assert any("fit the grids of several series" in note for note in result.notes)


def test_references_beside_the_first_count(tmp_path: Path) -> None:
    files = series(tmp_path)
    path = tmp_path / "seg.dcm"
    draw(path, files, BINARY)
    made = pydicom.dcmread(path)
    other = pydicom.Dataset()
    other.SeriesInstanceUID, other.ReferencedInstanceSequence = generate_uid(), []
    made.ReferencedSeriesSequence = [other, made.ReferencedSeriesSequence[0]]
    made.save_as(path)
    expect_label(scan(tmp_path))


def test_sources_in_two_series_label_the_one_whose_grid_fits(tmp_path: Path) -> None:
    files = series(tmp_path)
    other = dicom_files.ct_slices(HU, np.diag([2.0, 2.0, 5.0, 1.0]), dicom_files.person(0))
    dicom_files.write(other, tmp_path / "other")
    path = tmp_path / "seg.dcm"
    draw(path, files, BINARY, ReferencedSeriesSequence=None)
    made = pydicom.dcmread(path)
    source = copy.deepcopy(made.SourceImageSequence[0])
    source.ReferencedSOPInstanceUID = other[0].SOPInstanceUID
    made.SourceImageSequence = [*made.SourceImageSequence, source]
    made.save_as(path)
    expect_label(scan(tmp_path))


def test_a_segmentation_of_no_series_here_is_said_and_names_no_class(tmp_path: Path) -> None:
    files = series(tmp_path)
    draw(tmp_path / "seg.dcm", files, BINARY)
    elsewhere = dicom_files.ct_slices(HU, AFFINE, dicom_files.person(2))
    draw(tmp_path / "lost.dcm", elsewhere, BINARY, "Phantom")
    result = scan(tmp_path)
    expect_label(result)
    assert result.classes == ("background", "Tumor")
    assert any("refer to a series that is not here" in n and "(1)" in n for n in result.notes)


def test_a_segmentation_with_a_blanked_class_is_read(tmp_path: Path) -> None:
    files = series(tmp_path)
    draw(tmp_path / "seg.dcm", files, BINARY)
    result = scan(tmp_path)
    draw(tmp_path / "seg.dcm", files, BINARY, SOPClassUID="")
    again = scan(tmp_path)
    assert [case.has_label for case in again.cases] == [True]
    assert again.classes == result.classes


def test_two_readers(tmp_path: Path) -> None:
    files = series(tmp_path)
    other = np.roll(BINARY, 1, 0)
    draw(tmp_path / "a.dcm", files, BINARY, ContentCreatorName="Hibbert^Julius")
    draw(tmp_path / "b.dcm", files, other, ContentCreatorName="Riviera^Nick")
    (case,) = scan(tmp_path).cases
    with pytest.raises(
        UserError, match=r"2 DICOM-SEG that draw 'Tumor' differently \(by 2"
    ) as raised:
        case.read()
    assert "--reader" in str(raised.value)
    assert "Hibbert" not in str(raised.value)
    for name, label in (("Hibbert^Julius", BINARY), ("nick riviera", other), ("RIVIERA", other)):
        result = scan(tmp_path, reader=name)
        expect_label(result, label)
        assert "left out: DICOM-SEG by other readers (1)." in result.notes
    with pytest.raises(UserError, match="--reader 'Monroe' has drawn none of 2 DICOM-SEG"):
        scan(tmp_path, reader="Monroe")


def test_the_operator_is_the_reader_of_files_without_a_creator(tmp_path: Path) -> None:
    files = series(tmp_path)
    draw(tmp_path / "a.dcm", files, BINARY, ContentCreatorName="", OperatorsName="Hibbert^Julius")
    expect_label(scan(tmp_path, reader="Hibbert"))


def test_copies_and_other_structures_are_united(tmp_path: Path) -> None:
    files = series(tmp_path)
    draw(tmp_path / "a.dcm", files, (CODES == 1).astype(np.uint8), "large")
    draw(tmp_path / "copy.dcm", files, (CODES == 1).astype(np.uint8), "LARGE")
    draw(tmp_path / "b.dcm", files, (CODES == 2).astype(np.uint8), "small")
    result = scan(tmp_path)
    assert result.classes is not None
    assert [name.lower() for name in result.classes] == ["background", "large", "small"]
    expect_label(result, CODES)


def test_segments_that_no_image_shows_are_no_classes(tmp_path: Path) -> None:
    files = series(tmp_path)
    path = tmp_path / "seg.dcm"
    draw(path, files, BINARY)
    made = highdicom.seg.segread(path)
    first = made.SegmentSequence[0]
    for number in range(2, 72):
        other = copy.deepcopy(first)
        other.SegmentNumber, other.SegmentLabel = number, f"Phantom {number}"
        made.SegmentSequence.append(other)
    made.save_as(path)
    result = scan(tmp_path)
    assert result.classes == ("background", "Tumor")
    expect_label(result)
    assert any(note.startswith("70 segments of the DICOM-SEG") for note in result.notes)


def test_a_structure_that_a_series_lacks_is_said(tmp_path: Path) -> None:
    """A segment that a file declares and leaves empty is not lacking."""
    for number in range(3):
        files = series(tmp_path, number)
        draw(tmp_path / f"liver{number}.dcm", files, BINARY, "Liver")
        if number:
            draw(
                tmp_path / f"spleen{number}.dcm",
                files,
                BINARY,
                "Spleen" if number == 1 else "SPLEEN",
            )
    notes = [note for note in scan(tmp_path).notes if "absent" in note]
    (note,) = notes
    assert "(Spleen in 1 of 3 labelled images)" in note or "(SPLEEN in 1 of 3" in note
    (tmp_path / "liver0.dcm").unlink()
    assert not [note for note in scan(tmp_path).notes if "absent" in note]


def test_a_segment_of_empty_frames_is_a_class_without_voxels(tmp_path: Path) -> None:
    files = series(tmp_path)
    path = tmp_path / "seg.dcm"
    dicom_files.segmentation(files, CODES, ("Liver", "Cyst"), path)
    made = pydicom.dcmread(path)
    frames = made.PerFrameFunctionalGroupsSequence
    numbers = [f.SegmentIdentificationSequence[0].ReferencedSegmentNumber for f in frames]
    size = made.Rows * made.Columns
    bits = np.unpackbits(np.frombuffer(made.PixelData, np.uint8), bitorder="little")
    for index in np.flatnonzero(np.array(numbers) == 2):
        bits[index * size : (index + 1) * size] = 0
    made.PixelData = np.packbits(bits, bitorder="little").tobytes()
    made.save_as(path)
    result = scan(tmp_path)
    assert result.classes == ("background", "Liver", "Cyst")
    expect_label(result, (CODES == 1).astype(np.uint8))


def test_a_label_on_uneven_slices_is_resampled_with_them(tmp_path: Path) -> None:
    files = dicom_files.ct_slices(HU, AFFINE, dicom_files.person(0))
    for one, height in zip(files, (0, 4, 8, 15, 22, 29), strict=True):
        one.ImagePositionPatient = [0, 0, height]
    dicom_files.write(files, tmp_path / "ct")
    draw(tmp_path / "seg.dcm", files, BINARY)
    (found,) = labels(scan(tmp_path, uneven_slices="resample")).values()
    expected = np.moveaxis(BINARY, 2, 0)[[0, 1, 2, 3, 3, 4, 4, 5, 5]]  # at 0, 4, ..., 32 mm
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("blanked", [False, True])
def test_a_segmentation_without_preamble(tmp_path: Path, blanked: bool) -> None:
    files = series(tmp_path)
    path = tmp_path / "seg.dcm"
    draw(path, files, BINARY)
    made = pydicom.dcmread(path)
    if blanked:
        made.SOPClassUID = ""
    made.save_as(path, enforce_file_format=False)
    content = path.read_bytes()
    path.write_bytes(content[132:] if content[128:132] == b"DICM" else content)
    expect_label(scan(tmp_path))


@pytest.mark.parametrize("same_structure", [True, False])
@pytest.mark.parametrize("second", ["Riviera^Nick", "Hibbert^Julius", ""])
def test_a_reader_is_chosen_only_among_several(
    tmp_path: Path, second: str, same_structure: bool
) -> None:
    files = series(tmp_path)
    draw(tmp_path / "a.dcm", files, BINARY, "Tumor", ContentCreatorName="Hibbert^Julius")
    other = "Tumor" if same_structure else "Cyst"
    draw(tmp_path / "b.dcm", files, np.roll(BINARY, 1, 0), other, ContentCreatorName=second)
    (case,) = scan(tmp_path).cases
    with pytest.raises(UserError, match="has 2 DICOM-SEG") as raised:
        case.read()
    assert ("--reader" in str(raised.value)) is (second != "Hibbert^Julius")
    assert str(raised.value).endswith(
        "keep one DICOM-SEG per series." if same_structure
        else "save segments without overlap."
    )  # fmt: skip


def gappy(folder: Path, *missing: int) -> NDArray[np.uint8]:
    """A series of six slices at 0, 5, ..., 25 mm without some of them, and a DICOM-SEG of all."""
    files = dicom_files.ct_slices(HU, AFFINE, dicom_files.person(0))
    kept = [one for number, one in enumerate(files) if number not in missing]
    dicom_files.write(kept, folder / "ct")
    full = np.ones_like(BINARY)  # with a frame for every slice
    full[:3] = 0
    full[4, 4] = np.arange(6) % 2
    draw(folder / "seg.dcm", files, full)
    return np.moveaxis(full, 2, 0)


def test_a_missing_slice_that_is_labelled(tmp_path: Path) -> None:
    drawn = gappy(tmp_path, 3)
    with pytest.raises(
        UserError, match=r"series-\w+ has a gap of 10 mm after slice 3 of 5,.*--uneven"
    ):
        scan(tmp_path)
    result = scan(tmp_path, uneven_slices="resample")
    expect = "its DICOM-SEG marks 1 slice that the series does not have (at 15 mm); used where"
    assert [expect in note for note in result.notes].count(True) == 1
    (found,) = labels(result).values()
    np.testing.assert_array_equal(found, drawn)  # the slice that is resampled has its own mask


@pytest.mark.parametrize("missing", [(5,), (0, 5)])
def test_missing_slices_at_the_ends_that_are_labelled(
    tmp_path: Path, missing: tuple[int, ...]
) -> None:
    drawn = gappy(tmp_path, *missing)
    result = scan(tmp_path)
    (note,) = [note for note in result.notes if "DICOM-SEG marks" in note]
    assert ("(at 25 mm)" if len(missing) == 1 else "(at 0 mm, 25 mm)") in note
    assert "left out, since there is no image: copy the missing slices" in note
    (found,) = labels(result).values()
    np.testing.assert_array_equal(found, np.delete(drawn, missing, axis=0))


def test_a_label_of_other_slices_is_refused_with_their_position(tmp_path: Path) -> None:
    gappy(tmp_path, 0, 1, 2, 3)
    result = scan(tmp_path)
    assert not any("DICOM-SEG marks" in note for note in result.notes)
    (case,) = result.cases
    with pytest.raises(
        UserError, match=r"marks 4 of 6 slices where .* \(the first at 0 mm\): copy"
    ):
        case.read()


def test_a_label_without_references_fits_a_series_with_a_missing_slice(tmp_path: Path) -> None:
    drawn = gappy(tmp_path, 5)
    without_sources(tmp_path / "seg.dcm")
    made = pydicom.dcmread(tmp_path / "seg.dcm")
    del made.ReferencedSeriesSequence
    made.save_as(tmp_path / "seg.dcm")
    (found,) = labels(scan(tmp_path)).values()
    np.testing.assert_array_equal(found, drawn[:5])


UNEVEN = (0, 4, 8, 15, 22, 29)


@pytest.mark.parametrize("turn", ["as the files", "reversed", "transposed", "mirrored"])
@pytest.mark.parametrize("step", [4.0, 5.8, 1.0])  # no header gives uneven distances
def test_a_volume_on_uneven_slices_is_resampled_with_them(
    tmp_path: Path, turn: str, step: float
) -> None:
    source, label = uneven_with_label(tmp_path, turn, step)
    nibabel.save(label, source / "ct.nii.gz")
    (found,) = labels(scan(source, uneven_slices="resample")).values()
    expected = np.moveaxis(BINARY, 2, 0)[[0, 1, 2, 3, 3, 4, 4, 5, 5]]  # at 0, 4, ..., 32 mm
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("moved", [(0, 0, 4), (1.5, 0, 0)])
def test_a_volume_elsewhere_is_not_a_label_of_uneven_slices(
    tmp_path: Path, moved: tuple[float, float, float]
) -> None:
    source, label = uneven_with_label(tmp_path, "as the files", 4.0)
    affine = label.affine.copy()
    affine[:3, 3] += moved
    nibabel.save(nibabel.Nifti1Image(np.asarray(label.dataobj), affine), source / "ct.nii.gz")
    (case,) = scan(source, uneven_slices="resample").cases
    with pytest.raises(UserError, match="has shape"):
        case.read()


def uneven_with_label(folder: Path, turn: str, step: float) -> tuple[Path, nibabel.Nifti1Image]:
    """A series of uneven slices, and a label with one slice for each of them."""
    files = dicom_files.ct_slices(HU, AFFINE, dicom_files.person(0))
    for one, height in zip(files, UNEVEN, strict=True):
        one.ImagePositionPatient = [0, 0, height]
    dicom_files.write(files, folder / "ct")
    codes, affine = BINARY.copy(), np.diag([1.0, 1.0, step, 1.0])
    if turn == "reversed":
        codes, affine[2, 2], affine[2, 3] = codes[..., ::-1], -step, UNEVEN[-1]
    elif turn == "transposed":
        codes, affine = codes.transpose(2, 1, 0), affine[:, [2, 1, 0, 3]]
    elif turn == "mirrored":
        codes, affine[0, 0], affine[0, 3] = codes[::-1], -1.0, len(codes) - 1.0
    return folder, nibabel.Nifti1Image(np.ascontiguousarray(codes), affine)


def test_a_label_map_is_read(tmp_path: Path) -> None:
    files = series(tmp_path)
    dicom_files.segmentation(files, CODES, ("large", "small"), tmp_path / "seg.dcm", "LABELMAP")
    result = scan(tmp_path)
    assert result.classes == ("background", "large", "small")
    expect_label(result, CODES)


def test_segments_that_are_not_classes_may_overlap(tmp_path: Path) -> None:
    files = series(tmp_path)
    draw(tmp_path / "a.dcm", files, BINARY, "body")
    draw(tmp_path / "b.dcm", files, (CODES == 2).astype(np.uint8), "small")
    expect_label(scan(tmp_path, classes=("small",)), (CODES == 2).astype(np.uint8))


def test_a_single_slice_with_a_label_is_kept(tmp_path: Path) -> None:
    series(tmp_path)
    one = dicom_files.ct_slices(HU[..., 2:3], AFFINE, dicom_files.person(1))
    dicom_files.write(one, tmp_path / "one")
    assert len(scan(tmp_path).cases) == 1
    draw(tmp_path / "seg.dcm", one, BINARY[..., 2:3])
    result = scan(tmp_path)
    assert len(result.cases) == 2
    expect_label(result, BINARY[..., 2:3])


def test_one_patient_id_of_all_is_said_and_paths_name_the_patients(tmp_path: Path) -> None:
    for number in range(3):
        files = dicom_files.ct_slices(HU, AFFINE, dicom_files.person(number))
        for one in files:
            one.PatientID = "ANON"
        dicom_files.write(files, tmp_path / f"P{number}" / "ct")
    result = scan(tmp_path)
    assert {case.patient for case in result.cases} == {"patient-001"}
    assert any("3 series of 3 studies have one PatientID" in note for note in result.notes)
    result = scan(tmp_path, patient_pattern=r"^(P\d)/")
    assert {case.patient for case in result.cases} == {f"patient-00{n}" for n in (1, 2, 3)}
    assert not result.notes
    with pytest.raises(UserError, match=r"finds no patient in the path of series-") as raised:
        scan(tmp_path, patient_pattern=r"Q(\d)")
    assert "P0" not in str(raised.value)
    with pytest.raises(UserError, match=r"finds 6 patients in the paths of series-"):
        scan(tmp_path, patient_pattern=r"(IM\d+)$")


def test_one_study_is_of_one_patient(tmp_path: Path) -> None:
    for number, study in enumerate(("1.2.3", "1.2.3", "1.2.4")):
        files = dicom_files.ct_slices(HU, AFFINE, dicom_files.person(number), study=study)
        dicom_files.write(files, tmp_path / str(number))
    result = scan(tmp_path)
    assert len({case.patient for case in result.cases}) == 2
    assert any("1 study with several PatientIDs" in note for note in result.notes)


def test_a_refused_series_is_a_case_that_says_why(tmp_path: Path) -> None:
    series(tmp_path)
    files = dicom_files.ct_slices(HU, AFFINE, dicom_files.person(1))
    del files[2]
    dicom_files.write(files, tmp_path / "gap")
    cases = scan(tmp_path).cases
    assert len(cases) == 2
    (bad,) = (case for case in cases if len(case.files) == 5)
    with pytest.raises(UserError, match="gap of 10 mm"):
        bad.read()


def test_patient_ids_in_several_spellings_are_of_one_patient(tmp_path: Path) -> None:
    for number, name in enumerate(("P01", " p1", "P02")):
        files = dicom_files.ct_slices(HU, AFFINE, dicom_files.person(number))
        for one in files:
            one.PatientID = name
        dicom_files.write(files, tmp_path / str(number))
    result = scan(tmp_path)
    assert len({case.patient for case in result.cases}) == 2
    (note,) = result.notes
    assert note.startswith(
        "1 patient with several spellings: PatientIDs that differ only in capitals"
    )
    assert "P0" not in note


def test_folders_of_series_are_printed_only_if_asked(tmp_path: Path) -> None:
    for number in range(3):
        files = dicom_files.ct_slices(HU, AFFINE, dicom_files.person(number))
        if number:
            del files[2]
        dicom_files.write(files, tmp_path / "s" / f"Doe{number}" / "ct")
        if not number:
            draw(tmp_path / "s" / "Doe0" / "ct" / "seg.dcm", files, BINARY)
    said = Listening()
    with pytest.raises(
        UserError, match=r"2 of 3 images.*--show-folders' prints the folder"
    ) as raised:
        prepare(tmp_path / "s", tmp_path / "data", console=said)
    assert "Doe" not in " ".join([*said.said, str(raised.value)]).replace(str(tmp_path), "")
    assert sum("cannot be used" in line for line in said.said) == 1
    assert any("The same holds for 1 more file: series-" in line for line in said.said)
    said = Listening()
    with pytest.raises(UserError):
        prepare(tmp_path / "s", tmp_path / "data", show_folders=True, dry_run=True, console=said)
    names = {case.files[0].parts[-3]: case.source for case in scan(tmp_path / "s").cases}
    assert {f"{series}: {place}/ct" for place, series in names.items()} <= set(said.said)
