"""Each field of a DICOM header that changes the meaning of voxels is honoured or refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset

import dicom_files
import replicas
from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.formats.dicom import Found, series_below
from semiseg.formats.dicom_pixels import PADDING, read_series

AFFINE = np.diag([1.0, 1.0, 5.0, 1.0])
VALUES = np.random.default_rng(3).integers(0, 400, (7, 6, 4)).astype(np.int16) * 2
WHO = dicom_files.person(2)
Files = list[FileDataset]


def written(folder: Path, change: Callable[[Files], None], voxels: NDArray[np.int16]) -> Found:
    files = dicom_files.ct_slices(voxels, AFFINE, WHO)
    change(files)
    dicom_files.write(files, folder)
    return series_below(folder)


def read(folder: Path, change: Callable[[Files], None]) -> Volume:
    (series,) = written(folder, change, VALUES).series
    return read_series(series)


def refusal(folder: Path, change: Callable[[Files], None]) -> str:
    found = written(folder, change, VALUES)
    if found.refused:
        return str(found.refused[0].why)
    with pytest.raises(UserError) as raised:
        read_series(found.series[0])
    return str(raised.value)


def each(**values: object) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        for one in files:
            for name, value in values.items():
                setattr(one, name, value)

    return change


def stored(files: Files, change: Callable[[NDArray[np.uint16]], NDArray[np.generic]]) -> None:
    """Replace the stored values, which are (VALUES + 1024) / 2."""
    for one in files:
        plane = np.frombuffer(one.PixelData, np.uint16).reshape(one.Rows, one.Columns)
        one.PixelData = change(plane).tobytes()


EXPECTED = np.moveaxis(VALUES, 2, 0)  # [slice, column, row]


def test_every_slice_has_its_own_rescale(tmp_path: Path) -> None:
    def change(files: Files) -> None:
        for number, one in enumerate(files):
            one.RescaleSlope, one.RescaleIntercept = str(2 + number), str(-1024 + number)

    image = read(tmp_path, change).image[:, 0]
    for number in range(4):
        raw = (EXPECTED[number].astype(int) + 1024) // 2
        np.testing.assert_array_equal(image[number], raw * (2 + number) - 1024 + number)


def test_a_rescale_that_is_zero_or_in_some_slices_only(tmp_path: Path) -> None:
    assert "RescaleSlope of 0" in refusal(tmp_path / "a", each(RescaleSlope="0"))

    def half(files: Files) -> None:
        del files[1].RescaleSlope, files[1].RescaleIntercept

    assert "no common unit" in refusal(tmp_path / "b", half)

    def lookup(files: Files) -> None:
        files[0].ModalityLUTSequence = [Dataset()]

    assert "Modality LUT" in refusal(tmp_path / "c", lookup)


def test_signed_values(tmp_path: Path) -> None:
    def change(files: Files) -> None:
        each(PixelRepresentation=1, RescaleSlope="1", RescaleIntercept="0")(files)
        stored(files, lambda plane: plane.astype(np.int16) - 600)

    image = read(tmp_path, change).image[:, 0]
    np.testing.assert_array_equal(image, (EXPECTED + 1024) // 2 - 600)
    assert image.min() < 0


@pytest.mark.parametrize("signed", [0, 1])
def test_bits_beyond_those_stored_are_no_values(tmp_path: Path, signed: int) -> None:
    """As overlays in the upper four of 16 bits."""

    def change(files: Files) -> None:
        each(BitsStored=12, HighBit=11, PixelRepresentation=signed)(files)
        each(RescaleSlope="1", RescaleIntercept="0")(files)
        shift = 600 * signed
        stored(files, lambda p: ((p.astype(int) - shift) & 0x0FFF | 0xA000).astype(np.uint16))

    image = read(tmp_path, change).image[:, 0]
    np.testing.assert_array_equal(image, (EXPECTED + 1024) // 2 - 600 * signed)


def test_another_high_bit_is_refused(tmp_path: Path) -> None:
    assert "HighBit is 15 with 12 bits" in refusal(tmp_path, each(BitsStored=12, HighBit=15))


def test_monochrome1_is_inverted_unless_it_has_a_unit(tmp_path: Path) -> None:
    def change(files: Files) -> None:
        each(Modality="MR", PhotometricInterpretation="MONOCHROME1")(files)
        each(BitsStored=12, HighBit=11, RescaleSlope="1", RescaleIntercept="0")(files)
        for one in files:
            del one.RescaleType

    found = written(tmp_path / "mr", change, VALUES)
    image = read_series(found.series[0]).image[:, 0]
    np.testing.assert_array_equal(image, 4095 - (EXPECTED + 1024) // 2)
    assert any("MONOCHROME1" in note and "inverted" in note for note in found.notes)
    found = written(tmp_path / "ct", each(PhotometricInterpretation="MONOCHROME1"), VALUES)
    np.testing.assert_array_equal(read_series(found.series[0]).image[:, 0], EXPECTED)  # HU
    assert not found.notes


def test_palettes_and_colours_are_left_out(tmp_path: Path) -> None:
    found = written(tmp_path, each(PhotometricInterpretation="PALETTE COLOR"), VALUES)
    assert not found.series
    assert found.notes == ("left out: series of coloured images (1).",)


@pytest.mark.parametrize("value", [5000, 63536])
def test_padding_gets_the_lowest_other_value(tmp_path: Path, value: int) -> None:
    """63536 is -2000 in files whose writer forgot the sign."""

    def change(files: Files) -> None:
        each(PixelRepresentation=1, RescaleSlope="1", RescaleIntercept="0")(files)
        padding = np.uint16(value).astype(np.int16)

        def pad(plane: NDArray[np.uint16]) -> NDArray[np.int16]:
            changed = plane.astype(np.int16)
            changed[0] = padding
            return changed

        stored(files, pad)
        for one in files:
            one.add_new("PixelPaddingValue", "US", value)

    found = written(tmp_path, change, VALUES)
    volume = read_series(found.series[0])
    expected = (EXPECTED + 1024) // 2
    others = expected[:, :, 1:]
    np.testing.assert_array_equal(volume.image[:, 0, :, 1:], others)
    assert (volume.image[:, 0, :, 0] == others.min()).all()
    assert any("padding" in note for note in found.notes)


def test_padding_between_other_values_is_kept_and_said(tmp_path: Path) -> None:
    middle = int((VALUES[0, 0, 0] + 1024) // 2)
    volume = read(tmp_path, each(PixelPaddingValue=middle))
    np.testing.assert_array_equal(volume.image[:, 0], EXPECTED)
    assert PADDING in volume.remarks


def test_overlays_and_burned_in_text_are_said(tmp_path: Path) -> None:
    def change(files: Files) -> None:
        for one in files:
            one.add_new(0x60000010, "US", 6)
            one.add_new(0x60003000, "OW", b"\1" * 6)
            one.BurnedInAnnotation = "YES"

    found = written(tmp_path, change, VALUES)
    np.testing.assert_array_equal(read_series(found.series[0]).image[:, 0], EXPECTED)
    assert any("series with overlays" in note and "(1)" in note for note in found.notes)
    assert any("text in their pixels" in note for note in found.notes)


def test_only_the_spacing_in_the_patient_counts(tmp_path: Path) -> None:
    volume = read(tmp_path / "both", each(ImagerPixelSpacing=["3", "3"], PixelSpacing=["2", "4"]))
    assert volume.spacing == (5, 4, 2)  # slice, column, row: the axes of the volume

    def change(files: Files) -> None:
        each(ImagerPixelSpacing=["3", "3"])(files)
        for one in files:
            del one.PixelSpacing

    assert "ImagerPixelSpacing" in refusal(tmp_path / "imager", change)


def test_positions_count_not_the_thickness(tmp_path: Path) -> None:
    for number, value in enumerate(("1.25", "-7", "0")):
        change = each(SliceThickness=value, SpacingBetweenSlices=value)
        volume = read(tmp_path / str(number), change)
        assert volume.spacing is not None
        assert volume.spacing[0] == 5


@pytest.mark.parametrize("signs", [(1, 1), (-1, 1), (1, -1), (-1, -1)])
def test_signs_of_the_orientation(tmp_path: Path, signs: tuple[int, int]) -> None:
    affine = replicas.oblique() @ np.diag([signs[0], signs[1], signs[0] * signs[1], 1.0])
    files = dicom_files.ct_slices(VALUES, affine, WHO)
    dicom_files.write(files, tmp_path)
    volume = read_series(series_below(tmp_path).series[0])
    np.testing.assert_allclose(volume.affine, affine, atol=1e-4)  # type: ignore[arg-type]
    np.testing.assert_array_equal(volume.image[:, 0], EXPECTED)


def test_frames_have_their_own_rescale_and_kind(tmp_path: Path) -> None:
    files = dicom_files.ct_slices(VALUES, AFFINE, WHO)
    one = dicom_files.enhanced(files)
    groups = one.PerFrameFunctionalGroupsSequence
    for number, group in enumerate(groups):
        group.PixelValueTransformationSequence[0].RescaleIntercept = str(number - 1024)
    heights = [float(group.PlanePositionSequence[0].ImagePositionPatient[2]) for group in groups]
    scout = int(np.argmax(heights))  # the last slice
    frame_type = Dataset()
    frame_type.FrameType = ["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"]
    groups[scout].CTImageFrameTypeSequence = [frame_type]
    dicom_files.write([one], tmp_path)
    image = read_series(series_below(tmp_path).series[0]).image[:, 0]
    order = np.argsort(heights)[:-1]
    np.testing.assert_array_equal(image, EXPECTED[:3] + order[:, None, None])


def test_frames_without_a_description_are_refused(tmp_path: Path) -> None:
    one = dicom_files.enhanced(dicom_files.ct_slices(VALUES, AFFINE, WHO))
    one.PerFrameFunctionalGroupsSequence.pop()
    dicom_files.write([one], tmp_path)
    assert "has 4 frames but describes 3" in str(series_below(tmp_path).refused[0].why)


def test_mosaics_are_refused(tmp_path: Path) -> None:
    kinds = ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]
    assert "is a mosaic" in refusal(tmp_path, each(ImageType=kinds))


def test_a_single_slice_without_thickness_is_said(tmp_path: Path) -> None:
    def change(files: Files) -> None:
        del files[1:]
        del files[0].SliceThickness

    assert any("1 mm is assumed" in note for note in written(tmp_path, change, VALUES).notes)
