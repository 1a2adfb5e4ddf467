"""The registry of formats: each recognises only its files, and masks are read back on their grid."""

import dataclasses
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

import dicom_files
import replicas
from semiseg.errors import UserError
from semiseg.formats import (
    DICOM,
    FORMATS,
    HDF5,
    ITK,
    NIFTI,
    NPY,
    NPZ,
    PICTURES,
    TIFF,
    find_format,
    format_of,
    is_image,
    is_picture,
    is_volume,
    stem_of,
    suffix_of,
    suffixes_of,
    volume_format_of,
)
from semiseg.formats.base import Format, Reference

CLASSES = ("background", "a", "b/c")
VOXELS = np.random.default_rng(0).integers(-500, 500, (7, 6, 5)).astype(np.int16)
GREY = ((VOXELS + 500) // 4).astype(np.uint8)


def nifti(path: Path) -> None:
    replicas.save(path, VOXELS, replicas.oblique())


def itk(path: Path) -> None:
    replicas.write_volume(path, VOXELS, replicas.oblique())


def picture(path: Path) -> None:
    Image.fromarray(GREY[..., 0]).save(path)


def stack(path: Path) -> None:
    pages = GREY.transpose(2, 0, 1)
    tifffile.imwrite(path, pages, photometric="minisblack", metadata={"axes": "ZYX"})


def hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["image"] = VOXELS


def npz(path: Path) -> None:
    np.savez(path, image=VOXELS)


def npy(path: Path) -> None:
    np.save(path, VOXELS)


def dicom(path: Path) -> None:
    series = dicom_files.ct_slices(VOXELS, np.diag([0.7, 0.7, 3, 1]), dicom_files.person(0))
    dicom_files.write(series, path)


EXAMPLES = {
    **{f"a{end}": (NIFTI, nifti) for end in (".nii", ".nii.gz", ".NII.GZ")},
    **{f"a{end}": (ITK, itk) for end in (".nrrd", ".nhdr", ".mha", ".mhd")},
    **{
        f"a{end}": (PICTURES, picture)
        for end in (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".PNG")
    },
    "one.tif": (TIFF, picture),
    **{f"a{end}": (TIFF, stack) for end in (".tiff", ".ome.tif", ".ome.tiff")},
    **{f"a{end}": (HDF5, hdf5) for end in (".h5", ".npy.h5")},
    "a.npz": (NPZ, npz),
    "a.npy": (NPY, npy),
    "dicom": (DICOM, dicom),
}


@pytest.fixture(params=EXAMPLES)
def example(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Format, Path]:
    kind, write = EXAMPLES[request.param]
    path = tmp_path / "images" / request.param
    path.parent.mkdir()
    write(path)
    return kind, path


def codes_of(depth: int, height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 3, (depth, height, width)).astype(np.uint8)


def test_every_format_has_an_example() -> None:
    assert {kind for kind, _ in EXAMPLES.values()} == set(FORMATS)
    assert {suffix_of(Path(name)) for name in EXAMPLES if name != "dicom"} >= {
        *suffixes_of()
    } - {".tif"}  # fmt: skip


def test_a_format_recognises_its_own_files_alone(example: tuple[Format, Path]) -> None:
    kind, path = example
    assert [one for one in FORMATS if one.recognises(path)] == [kind]
    assert format_of(path) is kind
    assert kind.read_image(path).image.ndim == 4
    inside = next(iter(kind.files(path)))
    assert find_format(inside) is kind


def test_a_mask_comes_back_on_its_grid(example: tuple[Format, Path], tmp_path: Path) -> None:
    kind, path = example
    image = kind.read_image(path)
    codes = codes_of(image.image.shape[0], *image.image.shape[2:])
    like = Reference(image, None if kind is DICOM else path, CLASSES)
    target = tmp_path / "masks" / f"mask{kind.mask_suffix(path)}"
    kind.write_mask(target, codes, like)
    assert [file.name for file in target.parent.iterdir()] == [target.name]
    written = format_of(target)
    np.testing.assert_array_equal(written.read_label(target, image), codes)
    found = written.read_mask(target)
    np.testing.assert_array_equal(found.codes, codes)
    assert found.spacing == pytest.approx(image.spacing) if kind.kind == "volume" else True
    if image.affine is not None:
        np.testing.assert_allclose(found.affine, image.affine, atol=1e-4)  # type: ignore[arg-type]


def test_a_label_of_another_size_is_refused(example: tuple[Format, Path], tmp_path: Path) -> None:
    kind, path = example
    image = kind.read_image(path)
    codes = codes_of(image.image.shape[0], *image.image.shape[2:])
    target = tmp_path / f"mask{kind.mask_suffix(path)}"
    kind.write_mask(target, codes, Reference(image, None if kind is DICOM else path, CLASSES))
    larger = dataclasses.replace(image, image=np.zeros((9, 1, 9, 9), np.int16))
    with pytest.raises(UserError, match="its image has 9 x 9 x 9"):
        format_of(target).read_label(target, larger)


def test_volumes_without_a_file_of_their_own_become_nifti(tmp_path: Path) -> None:
    npz(tmp_path / "a.npz")
    image = dataclasses.replace(NPZ.read_image(tmp_path / "a.npz"), spacing=(8.0, 1.5, 1.0))
    codes = codes_of(7, 6, 5)
    NIFTI.write_mask(tmp_path / "m.nii.gz", codes, Reference(image, None, CLASSES))
    found = NIFTI.read_mask(tmp_path / "m.nii.gz")
    np.testing.assert_array_equal(found.codes, codes)
    assert found.spacing == (8.0, 1.5, 1.0)
    with pytest.raises(ValueError, match="from the image's file"):
        ITK.write_mask(tmp_path / "m.nrrd", codes, Reference(image, None, CLASSES))


def test_probabilities_of_pictures_are_a_grey_file_for_each_class(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    stack(tmp_path / "a.tif")
    for kind, depth, suffix in ((PICTURES, 1, ".png"), (TIFF, 5, ".tif")):
        image = kind.read_image(tmp_path / f"a{suffix}")
        values = np.linspace(0, 1, 3 * depth * 42, dtype=np.float32).reshape(3, depth, 7, 6)
        like = Reference(image, tmp_path / f"a{suffix}", CLASSES)
        kind.write_probabilities(tmp_path / f"a_prob{suffix}", values, like)
        for name, expected in (("a", values[1]), ("b-c", values[2])):
            grey = kind.read_image(tmp_path / f"a_prob_{name}{suffix}").image[:, 0]
            np.testing.assert_array_equal(grey, np.rint(255 * expected))


def test_labels_of_a_series_are_dicom_seg(tmp_path: Path) -> None:
    codes = (VOXELS > 0).astype(np.uint8) + (VOXELS > 300)
    affine = np.diag([0.7, 0.7, 3, 1])
    series = dicom_files.ct_slices(VOXELS, affine, dicom_files.person(0))
    dicom_files.write(series, tmp_path / "one" / "ct")
    dicom_files.segmentation(series, codes, ("large", "small"), tmp_path / "one" / "seg" / "1.dcm")
    image = DICOM.read_image(tmp_path / "one")
    label, mask = (DICOM.read_label(tmp_path / "one", image), DICOM.read_mask(tmp_path / "one"))
    for found in (label, mask.codes):
        np.testing.assert_array_equal(found, np.moveaxis(codes, image.slice_axis, 0))
    assert mask.shape == VOXELS.shape
    dicom(tmp_path / "two" / "a")
    with pytest.raises(UserError, match="contains no DICOM-SEG"):
        DICOM.read_label(tmp_path / "two", DICOM.read_image(tmp_path / "two"))
    dicom(tmp_path / "two" / "b")
    with pytest.raises(UserError, match="contains 2 series"):
        DICOM.read_image(tmp_path / "two")


def test_names() -> None:
    assert [suffix_of(Path(n)) for n in ("A.NII.GZ", "a.npy.h5", "a.OME.tif", "a.gz", "a")] == [
        ".nii.gz", ".npy.h5", ".ome.tif", "", "",
    ]  # fmt: skip
    assert [stem_of(Path(n)) for n in ("a.b.nii.gz", "a.npy.h5", "a.ome.tiff", "a.seg.nrrd", "a.txt")] == [
        "a.b", "a", "a", "a.seg", "a.txt",
    ]  # fmt: skip
    assert is_image(Path("a.npz"))
    assert not is_image(Path("a.gz"))
    assert is_volume(Path("a.mha"))
    assert not is_volume(Path("a.png"))
    assert is_picture(Path("a.TIF"))
    assert not is_picture(Path("a.npz"))
    assert suffixes_of("picture") == (
        ".png",
        ".jpg",
        ".jpeg",
        ".bmp",
        ".gif",
        ".webp",
        ".tif",
        ".tiff",
        ".ome.tif",
        ".ome.tiff",
        ".npy",
    )


def test_what_has_no_format_is_said(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none")
    assert find_format(tmp_path / "notes.txt") is None
    with pytest.raises(UserError, match=r"notes\.txt is not a supported image: use one of \.nii, "):
        format_of(tmp_path / "notes.txt")
    with pytest.raises(
        UserError, match=r"a\.png is not a volume: use one of \.nii, \.nii\.gz, \.nrrd"
    ):
        volume_format_of(tmp_path / "a.png")
