"""Volumes of all formats: grids, channels, errors, and masks on the image's grid."""

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

import replicas
from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.formats import ITK, volume_format_of
from semiseg.formats.base import Reference
from semiseg.formats.channels import read_channels
from semiseg.formats.grid import onto_grid

VOXELS = np.random.default_rng(0).integers(-500, 500, (7, 6, 5)).astype(np.int16)
PERMUTED = np.array([[0, 0, 1.5, 3.0], [-0.7, 0, 0, 4], [0, 4.0, 0, -9], [0, 0, 0, 1]])
AFFINES = [
    np.diag([1.0, 1.0, 4.0, 1.0]),
    replicas.oblique(),
    replicas.oblique(mirrored=True),
    PERMUTED,
]


def read_volume(path: Path, channels: int = 1) -> Volume:
    return volume_format_of(path).read_image(path, channels)


def reference(path: Path, channels: int = 1) -> Reference:
    return Reference(read_volume(path, channels), path, ("background", "a", "b"))


@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".mhd", ".nhdr"])
@pytest.mark.parametrize("affine", AFFINES, ids=["plain", "oblique", "mirrored", "permuted"])
def test_one_image_in_two_formats_is_one_volume(
    tmp_path: Path, ending: str, affine: NDArray[np.float64]
) -> None:
    nibabel.save(nibabel.Nifti1Image(VOXELS, affine), tmp_path / "a.nii.gz")
    replicas.write_volume(tmp_path / f"a{ending}", VOXELS, affine)
    expected, found = read_volume(tmp_path / "a.nii.gz"), read_volume(tmp_path / f"a{ending}")
    np.testing.assert_array_equal(found.image, expected.image)
    assert found.image.dtype == expected.image.dtype
    np.testing.assert_allclose(found.affine, affine, atol=1e-5)  # type: ignore[arg-type]
    assert found.slice_axis == expected.slice_axis
    assert found.spacing == pytest.approx(expected.spacing)


@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".mhd", ".nhdr", ".nii", ".nii.gz"])
@pytest.mark.parametrize("affine", AFFINES[1:], ids=["oblique", "mirrored", "permuted"])
def test_a_mask_lies_on_its_image_in_every_format(
    tmp_path: Path, ending: str, affine: NDArray[np.float64]
) -> None:
    source = tmp_path / f"a{ending}"
    sitk_or_nibabel = replicas.write_volume if "nii" not in ending else replicas.save
    sitk_or_nibabel(source, VOXELS, affine)
    codes = (VOXELS > 100).astype(np.uint8) + (VOXELS > 300)
    volume = read_volume(source)
    target = tmp_path / "masks" / f"a{volume_format_of(source).mask_suffix(source)}"
    stored = np.moveaxis(codes, volume.slice_axis, 0)
    volume_format_of(target).write_mask(target, stored, reference(source))
    assert [path.name for path in target.parent.iterdir()] == [target.name]  # one complete file
    image = SimpleITK.ReadImage(str(target))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0), codes)
    for index in ((0, 0, 0), (6, 5, 4), (2, 3, 1)):  # LPS to RAS
        place = np.array(image.TransformIndexToPhysicalPoint(index)) * (-1, -1, 1)
        np.testing.assert_allclose(place, affine[:3, :3] @ index + affine[:3, 3], atol=1e-3)
    label = volume_format_of(target).read_label(target, volume)
    np.testing.assert_array_equal(label, np.moveaxis(codes, volume.slice_axis, 0))


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd"])
@pytest.mark.parametrize("affine", AFFINES, ids=["plain", "oblique", "mirrored", "permuted"])
def test_a_mask_lies_on_an_image_of_several_channels(
    tmp_path: Path, ending: str, affine: NDArray[np.float64]
) -> None:
    """In world coordinates, the mask covers exactly the bright voxels of the first channel."""
    channels, source = np.stack([VOXELS, -VOXELS], 3), tmp_path / f"a{ending}"
    if ending == ".nii.gz":
        nibabel.save(nibabel.Nifti1Image(channels, affine), source)
    else:
        replicas.write_volume(tmp_path / "one.nrrd", VOXELS, affine)
        one = SimpleITK.ReadImage(str(tmp_path / "one.nrrd"))
        SimpleITK.WriteImage(SimpleITK.Compose(one, -one), str(source))
    volume = read_volume(source, channels=2)
    mask, kind = (volume.image[:, 0] > 100) * np.uint8(1), volume_format_of(source)
    kind.write_mask(tmp_path / f"m{ending}", mask, reference(source, 2))
    codes, placed = kind.load(tmp_path / f"m{ending}")
    assert codes.shape == VOXELS.shape
    expected = affine @ np.array([*np.nonzero(VOXELS > 100), np.ones((VOXELS > 100).sum())])
    found = placed @ np.array([*np.nonzero(codes), np.ones((codes > 0).sum())])
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_probabilities_of_other_formats_are_components(tmp_path: Path) -> None:
    source = tmp_path / "a.nrrd"
    replicas.write_volume(source, VOXELS, PERMUTED)
    axis = read_volume(source).slice_axis
    values = np.random.default_rng(1).random((3, *np.moveaxis(VOXELS, axis, 0).shape))
    ITK.write_probabilities(tmp_path / "p.nrrd", values.astype(np.float32), reference(source))
    data, affine = ITK.load(tmp_path / "p.nrrd")
    expected = np.moveaxis(np.moveaxis(values, 0, -1), 0, axis)
    np.testing.assert_allclose(data, expected, rtol=1e-6)
    np.testing.assert_allclose(affine, PERMUTED, atol=1e-6)


def test_flat_images_and_components(tmp_path: Path) -> None:
    flat = SimpleITK.GetImageFromArray(np.ascontiguousarray(VOXELS[..., 0].T))
    flat.SetSpacing((0.5, 0.7))
    SimpleITK.WriteImage(flat, str(tmp_path / "flat.mha"))
    volume = read_volume(tmp_path / "flat.mha")
    np.testing.assert_array_equal(volume.image[0, 0], VOXELS[..., 0])
    flat_mask = np.ones((1, 7, 6), np.uint8)
    ITK.write_mask(tmp_path / "m.mha", flat_mask, reference(tmp_path / "flat.mha"))
    assert SimpleITK.ReadImage(str(tmp_path / "m.mha")).GetSize() == (7, 6)
    coloured = SimpleITK.GetImageFromArray(VOXELS.transpose(2, 1, 0)[..., None].repeat(2, 3), True)
    SimpleITK.WriteImage(coloured, str(tmp_path / "two.nrrd"))
    assert read_volume(tmp_path / "two.nrrd", channels=2).image.shape == (5, 2, 7, 6)
    with pytest.raises(UserError, match=r"two\.nrrd has 4 axes"):
        read_volume(tmp_path / "two.nrrd")


def test_channels_in_a_file_each(tmp_path: Path) -> None:
    files = [tmp_path / "a_0000.nii.gz", tmp_path / "a_0001.nrrd"]
    replicas.save(files[0], VOXELS, AFFINES[1])
    replicas.write_volume(files[1], VOXELS[::-1] / np.float32(7), AFFINES[1])
    image = read_channels(files).image
    assert image.shape == (5, 2, 7, 6)
    np.testing.assert_array_equal(image[:, 0], np.moveaxis(VOXELS, 2, 0))
    np.testing.assert_allclose(image[:, 1], np.moveaxis(VOXELS[::-1] / 7, 2, 0), rtol=1e-6)
    moved = AFFINES[1].copy()
    moved[0, 3] += 1
    replicas.write_volume(files[1], VOXELS, moved)
    with pytest.raises(UserError, match=r"a_0001\.nrrd is up to 1 mm away from .*a_0000"):
        read_channels(files)
    replicas.write_volume(files[1], VOXELS[:-1], AFFINES[1])
    with pytest.raises(UserError, match=r"a_0001\.nrrd has 5 x 6 x 6 voxels .* has 5 x 7 x 6"):
        read_channels(files)


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_damaged_files_are_refused_in_one_sentence(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    replicas.write_volume(path, VOXELS, np.eye(4))
    whole = path.read_bytes()
    for content in (b"", b"nonsense", whole[:40], whole[:-200]):
        path.write_bytes(content)
        with pytest.raises(UserError, match="copy it again or leave it out") as raised:
            read_volume(path)
        assert str(path) in str(raised.value)
        assert "\n" not in str(raised.value)
    with pytest.raises(UserError, match="does not exist"):
        read_volume(tmp_path / f"none{ending}")


def test_voxels_outside_the_headers_folder_are_never_read(tmp_path: Path) -> None:
    replicas.write_volume(tmp_path / "secret.mhd", VOXELS, np.eye(4))
    replicas.write_volume(tmp_path / "secret.nhdr", VOXELS, np.eye(4))
    inside = tmp_path / "set"
    inside.mkdir()
    for name in ("secret.mhd", "secret.nhdr"):
        text = (tmp_path / name).read_text()
        raw = next(line.split()[-1] for line in text.splitlines() if "secret" in line)
        for elsewhere in (f"../{raw}", str(tmp_path / raw)):
            (inside / name).write_text(text.replace(raw, elsewhere))
            with pytest.raises(UserError, match="is not in"):
                read_volume(inside / name)
        (inside / name).write_text(text)
        with pytest.raises(UserError, match="which is missing"):
            read_volume(inside / name)


def test_an_absurd_header_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.nrrd"
    header = "NRRD0004\ntype: short\ndimension: 3\nsizes: 4000 4000 4000\nendian: little\nencoding: gzip\n\n"
    path.write_bytes(header.encode() + gzip.compress(b"0" * 100, mtime=0))
    with pytest.raises(UserError, match="announces"):
        read_volume(path)
    bomb = nibabel.Nifti1Header()
    bomb.set_data_dtype(np.int16)
    bomb.set_data_shape((30_000, 30_000, 30_000))
    bomb["magic"], bomb["vox_offset"] = b"n+1", 352
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(bomb.binaryblock + b"\0" * 100, mtime=0))
    with pytest.raises(UserError, match="announces"):
        read_volume(tmp_path / "a.nii.gz")


def test_without_simpleitk_the_command_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replicas.write_volume(tmp_path / "a.nrrd", VOXELS, np.eye(4))
    monkeypatch.setitem(__import__("sys").modules, "SimpleITK", None)
    with pytest.raises(UserError, match=r"pip install 'semiseg\[itk\]'"):
        read_volume(tmp_path / "a.nrrd")


def test_a_turned_grid_is_the_same_grid() -> None:
    rng = np.random.default_rng(3)
    data = rng.integers(0, 5, (4, 5, 6))
    affine = replicas.oblique()
    for order in ((0, 1, 2), (2, 0, 1), (1, 0, 2)):
        for flips in np.ndindex(2, 2, 2):
            turn = np.zeros((4, 4))
            turn[3, 3] = 1
            for axis, source in enumerate(order):  # index along source from the index along axis
                turn[source, axis] = -1 if flips[axis] else 1
                turn[source, 3] = data.shape[source] - 1 if flips[axis] else 0
            turned = data.transpose(order)
            turned = np.flip(turned, [a for a in range(3) if flips[a]])
            back = onto_grid(turned, affine @ turn, affine, data.shape)
            assert back is not None
            np.testing.assert_array_equal(back, data)
    part = np.eye(4)
    part[:3, 3] = (1, 2, 0)
    placed = onto_grid(data[1:3, 2:], affine @ part, affine, data.shape)
    assert placed is not None
    np.testing.assert_array_equal(placed[1:3, 2:], data[1:3, 2:])
    assert placed.sum() == data[1:3, 2:].sum()
    assert onto_grid(data, affine @ part, affine, data.shape) is None  # some voxels are outside
    part[0, 3] = 0.4
    assert onto_grid(data, affine @ part, affine, data.shape) is None
    assert onto_grid(data, affine @ np.diag([2.0, 1, 1, 1]), affine, data.shape) is None
