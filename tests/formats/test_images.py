"""Reading and writing image files: geometry, exact values, and error messages."""

import gzip
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from semiseg.errors import UserError
from semiseg.formats import NIFTI
from semiseg.formats.grid import slice_axis_of
from semiseg.formats.masks import read_picture_mask
from semiseg.formats.nifti import (
    read_nifti,
    write_nifti_mask,
    write_nifti_probabilities,
)
from semiseg.formats.pictures import (
    picture_shape,
    read_picture,
    write_picture_mask,
)


def nifti(
    path: Path, data: NDArray[Any], spacing: tuple[float, float, float] = (1.5, 1.5, 8.0)
) -> Path:
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (-30.0, 12.5, 4.0)
    image = nibabel.Nifti1Image(data, affine)
    image.header.set_qform(affine, 1)
    image.header.set_sform(affine, 2)
    nibabel.save(image, path)
    return path


def ramp(*shape: int) -> NDArray[np.int16]:
    return np.arange(np.prod(shape), dtype=np.int16).reshape(shape)


def test_the_slice_axis_is_the_clearly_widest_one() -> None:
    assert slice_axis_of((20, 20, 20), (8.0, 1.5, 1.5)) == 0
    assert slice_axis_of((20, 20, 20), (1.5, 8.0, 1.5)) == 1
    assert slice_axis_of((20, 20, 20), (1.15, 1.0, 1.0)) == 2
    assert slice_axis_of((20, 20, 20), (1.0, 1.0, 1.0)) == 2
    assert slice_axis_of((1, 20, 20), (1.0, 2.0, 1.0)) == 0


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_come_first_and_the_others_keep_their_order(tmp_path: Path, axis: int) -> None:
    data = ramp(3, 4, 5)
    spacing = [1.0, 1.1, 1.2]
    spacing[axis] = 6.0
    volume = read_nifti(nifti(tmp_path / "a.nii.gz", data, (spacing[0], spacing[1], spacing[2])))
    assert volume.slice_axis == axis
    np.testing.assert_array_equal(volume.image[:, 0], np.moveaxis(data, axis, 0))
    rest = [value for other, value in enumerate(spacing) if other != axis]
    assert volume.spacing == pytest.approx((6.0, *rest))
    assert volume.image.dtype == np.int16


def test_whole_numbers_are_int16_and_others_float32(tmp_path: Path) -> None:
    whole = nifti(tmp_path / "whole.nii", ramp(3, 4, 5).astype(np.float32))
    assert read_nifti(whole).image.dtype == np.int16
    large = nifti(tmp_path / "large.nii", ramp(3, 4, 5).astype(np.int32) * 1000)
    assert read_nifti(large).image.dtype == np.float32
    assert read_nifti(large).image.max() == 59_000
    broken = nifti(tmp_path / "broken.nii", ramp(3, 4, 5) / 7)
    assert read_nifti(broken).image.dtype == np.float32


def test_a_scaled_file_is_read_with_its_slope(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(ramp(3, 4, 5), np.eye(4))
    image.header.set_slope_inter(0.5, 3)
    nibabel.save(image, tmp_path / "a.nii.gz")
    assert read_nifti(tmp_path / "a.nii.gz").image.max() == 59 * 0.5 + 3


def test_channels_lie_on_the_fourth_axis(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii.gz", ramp(3, 4, 5, 2))
    volume = read_nifti(path, channels=2)
    assert volume.image.shape == (5, 2, 3, 4)
    np.testing.assert_array_equal(volume.image[1, 1], ramp(3, 4, 5, 2)[:, :, 1, 1])
    with pytest.raises(UserError, match=r"a\.nii\.gz has 4 axes \(3 x 4 x 5 x 2\)"):
        read_nifti(path)
    assert read_nifti(nifti(tmp_path / "b.nii", ramp(3, 4, 5, 1))).image.shape == (5, 1, 3, 4)


def test_two_axes_are_one_slice_and_stay_two(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii", ramp(6, 4), (1.0, 1.0, 1.0))
    volume = read_nifti(path)
    assert volume.image.shape == (1, 1, 6, 4)
    write_nifti_mask(tmp_path / "m.nii", np.ones((1, 6, 4), np.uint8), path)
    assert nibabel.load(tmp_path / "m.nii").shape == (6, 4)


FAULTS: dict[str, tuple[NDArray[Any], str]] = {
    "nan": (np.where(ramp(3, 4, 5) == 7, np.nan, 1.0), "NaN"),
    "infinite": (np.where(ramp(3, 4, 5) == 7, np.inf, 1.0), "infinite"),
    "constant": (np.full((3, 4, 5), 4, np.int16), "constant"),
    "complex": (ramp(3, 4, 5).astype(np.complex64), "complex"),
    "five axes": (ramp(3, 4, 5, 2, 2), "5 axes"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_nonsense_is_refused_in_one_sentence(tmp_path: Path, name: str) -> None:
    data, word = FAULTS[name]
    path = nifti(tmp_path / "bad.nii.gz", data)
    with pytest.raises(UserError, match=word) as raised:
        read_nifti(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert ": " in str(raised.value)


def test_an_empty_volume_is_refused(tmp_path: Path) -> None:
    path = nifti(tmp_path / "bad.nii", np.zeros((4, 0, 5), np.int16))
    with pytest.raises(UserError, match=r"bad\.nii (is empty|cannot be read)"):
        read_nifti(path)


@pytest.mark.parametrize("keep", [0, 20, 200, -40])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: int) -> None:
    noise = np.random.default_rng(0).integers(0, 1000, (8, 9, 10)).astype(np.int16)
    path = nifti(tmp_path / "cut.nii.gz", noise)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"cut\.nii\.gz cannot be read as a NIfTI image"):
        read_nifti(path)


def test_a_file_that_is_no_nifti_is_refused(tmp_path: Path) -> None:
    plain = tmp_path / "plain.nii.gz"
    plain.write_text("not an image")
    text = tmp_path / "text.nii.gz"
    text.write_bytes(gzip.compress(b"not an image" * 100, mtime=0))
    for path in (plain, text):
        with pytest.raises(UserError, match="cannot be read"):
            read_nifti(path)
    with pytest.raises(UserError, match="does not exist"):
        read_nifti(tmp_path / "none.nii.gz")


def test_a_label_must_share_shape_grid_and_be_codes(tmp_path: Path) -> None:
    volume = read_nifti(nifti(tmp_path / "image.nii.gz", ramp(6, 5, 4)))
    codes = (ramp(6, 5, 4) % 3).astype(np.uint8)
    fine = NIFTI.read_label(nifti(tmp_path / "l.nii.gz", codes + 0.0004), volume)
    np.testing.assert_array_equal(fine, np.moveaxis(codes, 2, 0))
    assert fine.dtype == np.uint8
    with pytest.raises(UserError, match=r"shape 5 x 6 x 4 but its image has 6 x 5 x 4"):
        NIFTI.read_label(nifti(tmp_path / "l.nii.gz", codes.transpose(1, 0, 2)), volume)
    with pytest.raises(UserError, match="affines differ"):
        NIFTI.read_label(nifti(tmp_path / "l.nii.gz", codes, (1.5, 1.6, 8.0)), volume)
    with pytest.raises(UserError, match="not whole numbers"):
        NIFTI.read_label(nifti(tmp_path / "l.nii.gz", codes * 0.9), volume)
    with pytest.raises(UserError, match="class codes from -1"):
        NIFTI.read_label(nifti(tmp_path / "l.nii.gz", codes.astype(np.int16) - 1), volume)
    with pytest.raises(UserError, match="not whole numbers"):
        NIFTI.read_label(nifti(tmp_path / "l.nii.gz", np.where(codes == 1, np.nan, 0.0)), volume)


def test_a_mirrored_label_is_refused(tmp_path: Path) -> None:
    volume = read_nifti(nifti(tmp_path / "image.nii.gz", ramp(6, 5, 4)))
    mirrored = np.diag([-1.5, 1.5, 8.0, 1.0])
    mirrored[:3, 3] = (-22.5, 12.5, 4.0)
    nibabel.save(nibabel.Nifti1Image(np.ones((6, 5, 4), np.uint8), mirrored), tmp_path / "l.nii.gz")
    with pytest.raises(UserError, match=r"mm away from its image .*--trust-grid image"):
        NIFTI.read_label(tmp_path / "l.nii.gz", volume)


@pytest.mark.parametrize("steps", [(1, 1, 1), (-1, -1, 1), (1.5, 1.5, 8.0), (-1.5, -1.5, 8.0)])
def test_a_lost_header_is_named(tmp_path: Path, steps: tuple[float, ...]) -> None:
    volume = read_nifti(nifti(tmp_path / "image.nii.gz", ramp(6, 5, 4)))
    label = nibabel.Nifti1Image(np.ones((6, 5, 4), np.uint8), np.diag([*steps, 1.0]))
    nibabel.save(label, tmp_path / "l.nii.gz")
    with pytest.raises(UserError, match=r"its header is lost.*copy the image's header to it"):
        NIFTI.read_label(tmp_path / "l.nii.gz", volume)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    shape=st.tuples(*[st.integers(2, 6)] * 3),
    axis=st.integers(0, 2),
    flips=st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3),
)
def test_a_mask_comes_back_on_the_input_grid(
    tmp_path: Path, shape: tuple[int, int, int], axis: int, flips: tuple[float, float, float]
) -> None:
    spacing = np.array([1.0, 1.0, 1.0])
    spacing[axis] = 5.0
    affine = np.diag([*(spacing * flips), 1.0])
    image = nibabel.Nifti1Image(ramp(*shape), affine)
    image.header.set_slope_inter(2.0, 5.0)
    image.header.set_qform(affine, 1)
    image.header.set_sform(affine, 4)
    source, target = tmp_path / "image.nii.gz", tmp_path / "out" / "mask.nii.gz"
    nibabel.save(image, source)
    codes = (ramp(*shape) % 4).astype(np.uint8)
    write_nifti_mask(target, np.moveaxis(codes, axis, 0), source)
    written = nibabel.load(target)
    np.testing.assert_array_equal(np.asanyarray(written.dataobj), codes)
    np.testing.assert_allclose(written.affine, affine)
    assert written.get_data_dtype() == np.uint8
    assert (int(written.header["qform_code"]), int(written.header["sform_code"])) == (1, 4)
    np.testing.assert_array_equal(
        NIFTI.read_label(target, read_nifti(source)), np.moveaxis(codes, axis, 0)
    )
    assert [path.name for path in target.parent.iterdir()] == ["mask.nii.gz"]


def test_probabilities_have_the_classes_last(tmp_path: Path) -> None:
    source = nifti(tmp_path / "image.nii.gz", ramp(5, 3, 4), (9.0, 1.0, 1.0))
    values = np.random.default_rng(0).random((2, 5, 3, 4)).astype(np.float32)
    write_nifti_probabilities(tmp_path / "p.nii.gz", values, source)
    written = nibabel.load(tmp_path / "p.nii.gz")
    assert written.get_data_dtype() == np.float32
    np.testing.assert_array_equal(written.get_fdata()[..., 1], values[1])
    np.testing.assert_allclose(written.affine, nibabel.load(source).affine)


def test_a_mask_that_does_not_fit_or_cannot_be_written_is_refused(tmp_path: Path) -> None:
    source = nifti(tmp_path / "image.nii.gz", ramp(5, 3, 4))
    with pytest.raises(UserError, match="does not fit its image"):
        write_nifti_mask(tmp_path / "m.nii.gz", np.zeros((4, 3, 5), np.uint8), source)
    with pytest.raises(UserError, match="cannot be written"):
        write_nifti_mask(source / "m.nii.gz", np.zeros((4, 5, 3), np.uint8), source)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.nii.gz"]


def colours(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_pictures_keep_or_take_channels(tmp_path: Path) -> None:
    Image.fromarray(colours(6, 8)).save(tmp_path / "rgb.png")
    Image.fromarray(colours(6, 8)[..., 0]).save(tmp_path / "grey.png")
    rgb = read_picture(tmp_path / "rgb.png").image
    np.testing.assert_array_equal(rgb[0], np.moveaxis(colours(6, 8), 2, 0))
    assert read_picture(tmp_path / "grey.png").image.shape == (1, 1, 6, 8)
    assert read_picture(tmp_path / "grey.png", 3).image.shape == (1, 3, 6, 8)
    assert read_picture(tmp_path / "rgb.png", 1).image.shape == (1, 1, 6, 8)


def test_exif_orientation_is_honoured(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown rotated clockwise by 90 degrees
    picture = Image.fromarray(colours(6, 8))
    picture.save(tmp_path / "a.png", exif=exif)
    assert picture_shape(tmp_path / "a.png") == (8, 6)
    shown = np.moveaxis(read_picture(tmp_path / "a.png").image[0], 0, 2)
    np.testing.assert_array_equal(shown, np.rot90(colours(6, 8), -1))


def test_large_pictures_are_reduced_antialiased_and_masks_by_nearest(tmp_path: Path) -> None:
    stripes = np.zeros((64, 128), np.uint8)
    stripes[:, ::2] = 200
    Image.fromarray(stripes).save(tmp_path / "a.png")
    small = read_picture(tmp_path / "a.png", max_side=32).image
    assert small.shape == (1, 1, 16, 32)
    assert 90 < small[0, 0, 4:-4, 4:-4].min() <= small[0, 0, 4:-4, 4:-4].max() < 110
    codes = np.repeat(np.arange(4, dtype=np.uint8), 32)[None].repeat(64, 0)
    Image.fromarray(codes).save(tmp_path / "m.png")
    mask = read_picture_mask(tmp_path / "m.png", (64, 128), max_side=32)
    assert mask.codes.shape == (16, 32)
    assert set(np.unique(mask.codes)) == {0, 1, 2, 3}


def test_the_ways_to_write_a_mask(tmp_path: Path) -> None:
    disc = np.hypot(*np.mgrid[-32:32, -32:32]) < 20
    path = tmp_path / "m.png"
    for values, encoding in (
        (disc.astype(np.uint8), "codes"),
        (disc * np.uint8(255), "binary"),
        (np.zeros((64, 64), np.uint8), "empty"),
    ):
        Image.fromarray(values).save(path)
        mask = read_picture_mask(path)
        assert mask.encoding == encoding
        np.testing.assert_array_equal(mask.codes, values > 0)
    Image.fromarray(disc).save(path)  # one bit per pixel
    np.testing.assert_array_equal(read_picture_mask(path).codes, disc)
    rgb = np.repeat((disc * np.uint8(255))[..., None], 3, 2)
    Image.fromarray(rgb).save(tmp_path / "m.jpg", quality=75)
    mask = read_picture_mask(tmp_path / "m.jpg")
    assert mask.encoding == "lossy"
    np.testing.assert_array_equal(mask.codes, disc)


def test_palette_masks_give_their_indices(tmp_path: Path) -> None:
    codes = np.arange(4, dtype=np.uint8)[None].repeat(3, 0)
    picture = Image.fromarray(codes)
    picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0])
    picture.save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_picture_mask(tmp_path / "m.png").codes, codes)


def test_bad_pictures_and_masks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.png"
    Image.fromarray(colours(6, 8)).save(path)
    with pytest.raises(UserError, match=r"bad\.png is a coloured mask"):
        read_picture_mask(path)
    with pytest.raises(UserError, match="6 x 8 pixels but its picture has 8 x 6"):
        read_picture_mask(path, (8, 6))
    Image.fromarray(np.arange(0, 250, 5, dtype=np.uint8)[None].repeat(5, 0)).save(path)
    with pytest.raises(UserError, match="grey levels"):
        read_picture_mask(path)
    Image.fromarray(np.full((5, 5), 9, np.uint8)).save(path)
    with pytest.raises(UserError, match="constant"):
        read_picture(path)
    Image.fromarray(colours(60, 80)).save(path)
    path.write_bytes(path.read_bytes()[:3000])
    for read in (read_picture, read_picture_mask):
        with pytest.raises(UserError, match="cannot be read as a picture"):
            read(path)


def test_written_picture_masks_read_back(tmp_path: Path) -> None:
    codes = (ramp(1, 6, 8) % 2).astype(np.uint8)
    write_picture_mask(tmp_path / "two.png", codes, classes=2)
    assert set(np.unique(np.asarray(Image.open(tmp_path / "two.png")))) == {0, 255}
    np.testing.assert_array_equal(read_picture_mask(tmp_path / "two.png").codes, codes[0])
    codes = (ramp(6, 8) % 4).astype(np.uint8)
    write_picture_mask(tmp_path / "four.png", codes, classes=4)
    np.testing.assert_array_equal(read_picture_mask(tmp_path / "four.png").codes, codes)
