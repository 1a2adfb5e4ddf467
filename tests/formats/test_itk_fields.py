"""Fields of MetaImage and NRRD headers that SimpleITK ignores: honoured, or refused in a sentence."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from semiseg.errors import UserError
from semiseg.formats import ITK, remarks
from semiseg.formats.base import Reference

VOXELS = np.arange(24, dtype=np.int16).reshape(4, 3, 2)  # x, y, z
RAW = VOXELS.transpose(2, 1, 0).tobytes()
STEPS = "ElementSpacing = 2 2 5"


def mha(path: Path, *lines: str, raw: bytes = RAW, data: str = "LOCAL") -> Path:
    usual = ["ObjectType = Image", "NDims = 3", "DimSize = 4 3 2", "ElementType = MET_SHORT"]
    content = "\n".join([*usual, *lines, f"ElementDataFile = {data}", ""]).encode()
    path.write_bytes(content + (raw if data == "LOCAL" else b""))
    return path


def nrrd(path: Path, *lines: str, raw: bytes = RAW) -> Path:
    usual = ["type: short", "dimension: 3", "sizes: 4 3 2", "endian: little", "encoding: raw"]
    given = {line.split(":")[0] for line in lines}
    kept = [line for line in usual if line.split(":")[0] not in given]
    path.write_bytes("\n".join(["NRRD0004", *kept, *lines, "", ""]).encode() + raw)
    return path


def spacing(path: Path) -> tuple[float, ...]:
    _, affine = ITK.load(path)
    return tuple(np.linalg.norm(affine[:3, :3], axis=0).round(9).tolist())


@pytest.mark.parametrize(
    ("lines", "steps"),
    [
        ((STEPS,), (2, 2, 5)),
        (("ElementSize = 2 2 5",), (2, 2, 5)),
        ((STEPS, "ElementSize = 1 1 3"), (2, 2, 5)),  # a gap between slices: the distance counts
        (("ElementSize = 1 1 3", STEPS), (2, 2, 5)),
        ((STEPS, "DistanceUnits = um"), (0.002, 0.002, 0.005)),
        ((STEPS, "DistanceUnits = cm"), (20, 20, 50)),
        ((STEPS, "DistanceUnits = mm"), (2, 2, 5)),
    ],
)  # fmt: skip
def test_voxel_sizes_of_metaimage(
    tmp_path: Path, lines: tuple[str, ...], steps: tuple[float, ...]
) -> None:
    path = mha(tmp_path / "a.mha", *lines)
    assert spacing(path) == pytest.approx(steps)
    other = any("DistanceUnits" in line and "mm" not in line for line in lines)
    assert (remarks.UNITS in ITK.remarks(path)) == other


def test_a_negative_spacing_mirrors_the_axis(tmp_path: Path) -> None:
    _, affine = ITK.load(mha(tmp_path / "a.mha", "ElementSpacing = -2 2 5"))
    np.testing.assert_allclose(affine[:3, :3], np.diag([2, -2, 5]))  # RAS: x is mirrored
    _, affine = ITK.load(nrrd(tmp_path / "a.nrrd", "spacings: -2 2 5"))
    np.testing.assert_allclose(affine[:3, :3], np.diag([2, -2, 5]))


@pytest.mark.parametrize(
    ("skip", "before", "data"),
    [("8", b"\1" * 8, "a.raw"), ("-1", b"\1" * 8, "a.raw"), ("-1", b"", "LOCAL"), ("0", b"", "a.raw")],
)  # fmt: skip
def test_header_size(tmp_path: Path, skip: str, before: bytes, data: str) -> None:
    (tmp_path / "a.raw").write_bytes(before + RAW)
    path = mha(tmp_path / "a.mhd", STEPS, f"HeaderSize = {skip}", data=data)
    np.testing.assert_array_equal(ITK.load(path)[0], VOXELS)


@pytest.mark.parametrize("name", ["BinaryDataByteOrderMSB", "ElementByteOrderMSB"])
def test_byte_order(tmp_path: Path, name: str) -> None:
    raw = VOXELS.transpose(2, 1, 0).astype(">i2").tobytes()
    path = mha(tmp_path / "a.mha", STEPS, f"{name} = True", raw=raw)
    np.testing.assert_array_equal(ITK.load(path)[0], VOXELS)
    path = nrrd(tmp_path / "a.nrrd", "spacings: 2 2 5", "endian: big", raw=raw)
    np.testing.assert_array_equal(ITK.load(path)[0], VOXELS)


def test_the_intensity_scale_of_metaimage(tmp_path: Path) -> None:
    path = mha(
        tmp_path / "a.mha", STEPS, "ElementToIntensityFunctionSlope = 2",
        "ElementToIntensityFunctionOffset = -1024",
    )  # fmt: skip
    np.testing.assert_array_equal(ITK.load(path)[0], 2.0 * VOXELS - 1024)
    assert remarks.SCALED in ITK.read_image(path).remarks


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("left-posterior-superior", (-1, -1, 1)), ("LPS", (-1, -1, 1)),
        ("right-anterior-superior", (1, 1, 1)), ("RAS", (1, 1, 1)),
        ("left-anterior-superior", (-1, 1, 1)), ("scanner-xyz", (-1, -1, 1)),
    ],
)  # fmt: skip
def test_spaces_of_nrrd(tmp_path: Path, space: str, signs: tuple[int, ...]) -> None:
    directions = "space directions: (2,0,0) (0,2,0) (0,0,5)"
    path = nrrd(tmp_path / "a.nrrd", f"space: {space}", directions, "space origin: (1,2,3)")
    _, affine = ITK.load(path)
    np.testing.assert_allclose(affine[:3, :3], np.diag([2, 2, 5]) * np.array(signs)[:, None])
    np.testing.assert_allclose(affine[:3, 3], np.array([1, 2, 3]) * signs)
    assert (remarks.NO_ORIENTATION in ITK.remarks(path)) == (space == "scanner-xyz")


def test_units_of_nrrd(tmp_path: Path) -> None:
    space = ("space: LPS", "space directions: (2,0,0) (0,2,0) (0,0,5)", "space origin: (100,0,0)")
    path = nrrd(tmp_path / "a.nrrd", *space, 'space units: "um" "um" "um"')
    assert spacing(path) == pytest.approx((0.002, 0.002, 0.005))
    assert ITK.load(path)[1][0, 3] == pytest.approx(-0.1)
    path = nrrd(tmp_path / "b.nrrd", "spacings: 2 2 5", 'units: "mm" "mm" "cm"')
    assert spacing(path) == pytest.approx((2, 2, 50))
    with pytest.raises(UserError, match="unknown unit 'parsec'"):
        ITK.load(nrrd(tmp_path / "c.nrrd", *space, 'space units: "parsec" "mm" "mm"'))


@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
def test_a_mask_has_the_unit_of_its_image(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    if ending == ".mha":
        mha(path, STEPS, "DistanceUnits = um")
    else:
        directions = "space directions: (2,0,0) (0,2,0) (0,0,5)"
        nrrd(path, "space: LPS", directions, 'space units: "um" "um" "um"')
    volume = ITK.read_image(path)
    codes = np.moveaxis(VOXELS > 9, volume.slice_axis, 0).astype(np.uint8)
    ITK.write_mask(tmp_path / f"m{ending}", codes, Reference(volume, path, ("b", "a")))
    np.testing.assert_array_equal(ITK.read_label(tmp_path / f"m{ending}", volume), codes)
    assert spacing(tmp_path / f"m{ending}") == pytest.approx((0.002, 0.002, 0.005))


@pytest.mark.parametrize(
    ("lines", "raw"),
    [
        (("byte skip: 4",), b"abcd" + RAW), (("byte skip: -1",), b"abcdef" + RAW),
        (("line skip: 1",), b"one line\n" + RAW), (("encoding: gz",), gzip.compress(RAW, mtime=0)),
        (("encoding: ascii",), " ".join(map(str, VOXELS.transpose(2, 1, 0).ravel())).encode()),
        (("encoding: hex",), RAW.hex().encode()),
    ],
)  # fmt: skip
def test_encodings_of_nrrd(tmp_path: Path, lines: tuple[str, ...], raw: bytes) -> None:
    path = nrrd(tmp_path / "a.nrrd", "spacings: 2 2 5", *lines, raw=raw)
    np.testing.assert_array_equal(ITK.load(path)[0], VOXELS)


def test_a_file_without_a_voxel_size_is_said(tmp_path: Path) -> None:
    for path in (
        mha(tmp_path / "a.mha"), nrrd(tmp_path / "a.nrrd"),
        nrrd(tmp_path / "b.nrrd", "thicknesses: 1 1 3"), nrrd(tmp_path / "c.nrrd", "spacings: 2 2 nan"),
    ):  # fmt: skip
        assert remarks.NO_SPACING in ITK.read_image(path).remarks


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (("ElementSpacing = 0 2 5",), "voxel size of 0 mm"),
        ((STEPS, "AnatomicalOrientation = LPI"), "only as AnatomicalOrientation = LPI"),
        ((STEPS, "HeaderSize = 8"), "HeaderSize of 8"),
        ((STEPS, "BinaryData = False"), "holds its voxels as text"),
        ((STEPS, "DistanceUnits = furlong"), "unknown unit 'furlong'"),
        ((STEPS, "ElementToIntensityFunctionSlope = 0"), "which loses all values"),
        ((STEPS, "CompressedData = True"), "truncated or damaged"),
    ],
)  # fmt: skip
def test_fields_of_metaimage_that_are_refused(
    tmp_path: Path, lines: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        ITK.load(mha(tmp_path / "a.mha", *lines))
    oriented = mha(tmp_path / "a.mha", STEPS, "TransformMatrix = 1 0 0 0 1 0 0 0 1",
                   "AnatomicalOrientation = RAI")  # fmt: skip
    np.testing.assert_array_equal(ITK.load(oriented)[0], VOXELS)


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (("spacings: 0 2 5",), "voxel size of 0 mm"),
        (("old min: 0", "old max: 9"), "quantised values"),
        (("type: block", "block size: 2"), "blocks of bytes"),
        (("encoding: bzip2",), "compressed with bzip2"),
        (("sizes: 4 3 3",), "truncated or damaged"),
        (("sizes: 4 3 1",), "more bytes than the voxels"),
        (("encoding: gzip",), "truncated or damaged"),
    ],
)  # fmt: skip
def test_fields_of_nrrd_that_are_refused(
    tmp_path: Path, lines: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        ITK.load(nrrd(tmp_path / "a.nrrd", *lines))
