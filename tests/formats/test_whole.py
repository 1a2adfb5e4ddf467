"""Damaged files are refused: checksums are compared, and files are read to their end."""

import bz2
import gzip
import random
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import SimpleITK
import tifffile
from PIL import Image

import replicas
from semiseg.errors import UserError
from semiseg.formats import NIFTI, format_of
from semiseg.formats.header import read_header
from semiseg.formats.nifti import read_nifti
from semiseg.formats.whole import check_stream

RNG = np.random.default_rng(0)
VOXELS = RNG.normal(100, 20, (24, 24, 10)).astype(np.int16)
COLOURS = RNG.integers(60, 200, (24, 24, 3), np.uint8)


def itk(path: Path) -> None:
    image = SimpleITK.GetImageFromArray(VOXELS.transpose(2, 1, 0))
    SimpleITK.WriteImage(image, str(path), useCompression=True)


def hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("image", data=VOXELS, compression="gzip", fletcher32=True)


WRITERS: dict[str, Callable[[Path], None]] = {
    "a.nii.gz": lambda path: replicas.save(path, VOXELS),
    "a.mha": itk,
    "a.mhd": itk,
    "a.nrrd": itk,
    "a.png": lambda path: Image.fromarray(COLOURS).save(path),
    "one.tif": lambda path: tifffile.imwrite(path, COLOURS, compression="zlib"),
    "pillow.tif": lambda path: Image.fromarray(COLOURS).save(path, compression="tiff_deflate"),
    "stack.tif": lambda path: tifffile.imwrite(
        path, VOXELS.transpose(2, 0, 1), compression="zlib", photometric="minisblack"
    ),
    "a.h5": hdf5,
    "a.npz": lambda path: np.savez_compressed(path, image=VOXELS),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_flipped_bit_never_changes_a_voxel(tmp_path: Path, name: str) -> None:
    """A damaged file is refused, or the bit was of no importance and every voxel is right.

    The last seventh is left alone: a TIFF may store its tags there, which have no checksum.
    """
    path = tmp_path / name
    WRITERS[name](path)
    kind = format_of(path)
    channels = 3 if name in ("a.png", "one.tif", "pillow.tif") else 1
    true = kind.read_image(path, channels).image
    held = path if name != "a.mhd" else path.with_suffix(".zraw")
    good, draw = held.read_bytes(), random.Random(1)
    refused = 0
    for _ in range(25):
        bad = bytearray(good)
        bad[draw.randrange(len(bad) // 3, len(bad) * 6 // 7)] ^= 1 << draw.randrange(8)
        held.write_bytes(bad)
        try:
            found = kind.read_image(path, channels).image
        except UserError:
            refused += 1
        else:
            np.testing.assert_array_equal(found, true)
    assert refused > 15


def test_the_checksum_of_a_4d_file_is_that_of_every_time_point(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    replicas.save(path, np.stack([VOXELS, VOXELS + 1], 3))
    assert read_nifti(path, time_point=0).image.shape == (10, 1, 24, 24)
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # in the checksum, behind the voxels of the first time point
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.nii\.gz cannot be read as a NIfTI image"):
        read_nifti(path, time_point=0)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".mha", ".nrrd"])
def test_bytes_behind_the_voxels_are_refused_unless_they_are_zeros(
    tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"a{ending}"
    if ending.startswith(".nii"):
        replicas.save(path, VOXELS)
    else:
        replicas.write_volume(path, VOXELS, np.eye(4))
    content = path.read_bytes()
    for more, good in ((b"\0" * 32, True), (b"\0" * 31 + b"x", False)):
        if ending == ".nii.gz":
            path.write_bytes(gzip.compress(gzip.decompress(content) + more, mtime=0))
        else:
            path.write_bytes(content + more)
        if good and ending in (".nii", ".nii.gz"):
            assert format_of(path).read_image(path).image.shape == (10, 1, 24, 24)
        elif not good:
            with pytest.raises(UserError, match=r"holds more bytes than the voxels|cannot be read"):
                format_of(path).read_image(path)


def test_members_of_an_archive_are_read_to_their_end(tmp_path: Path) -> None:
    """A header that announces fewer values than follow would hide the checksum."""
    path = tmp_path / "a.npz"
    np.savez(path, image=VOXELS)
    content = path.read_bytes().replace(b"(24, 24, 10)", b"(24, 24,  9)", 1)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.npz cannot be read"):
        format_of(path).read_image(path)


@pytest.mark.parametrize("encoding", ["gzip", "zlib", "bzip2"])
def test_streams_are_compared_with_their_announced_size(tmp_path: Path, encoding: str) -> None:
    pack = {"gzip": gzip.compress, "zlib": zlib.compress, "bzip2": bz2.compress}[encoding]
    path = tmp_path / "x"
    path.write_bytes(b"head" + pack(bytes(3_000_000)))
    check_stream(path, 4, encoding, 3_000_000)
    for expected in (2_999_999, 3_000_001):
        with pytest.raises(UserError, match="truncated or damaged"):
            check_stream(path, 4, encoding, expected)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(UserError, match="truncated or damaged"):
        check_stream(path, 4, encoding, 3_000_000)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>"
PLAIN = nibabel.Nifti1Image(VOXELS, np.eye(4)).to_bytes()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.nii.gz", POINTER, "is not the image but a Git LFS pointer to it: run 'git lfs pull'"),
        ("a.png", POINTER, "is not the image but a Git LFS pointer"),
        ("a.h5", POINTER, "is not the image but a Git LFS pointer"),
        ("a.nrrd", POINTER, "is not the image but a Git LFS pointer"),
        ("a.tif", POINTER, "is not the image but a Git LFS pointer"),
        ("a.npz", POINTER, "is not the image but a Git LFS pointer"),
        ("a.nii", b"../.git/annex/objects/Xy/12/SHA256E-s1--ab.nii", "git-annex pointer"),
        ("a.nii.gz", PAGE, "is a web page, not an image"),
        ("a.mha", PAGE, "is a web page, not an image"),
        ("a.nii.gz", gzip.compress(PAGE, mtime=0), "is a web page, not an image"),
        ("a.jpg", b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>", "is an XML text"),
        ("a.nii.gz", PLAIN, "is not compressed, although its name ends in .gz: rename it to a.nii"),
        (
            "a.nii", gzip.compress(PLAIN, mtime=0),
            "is compressed with gzip, although .* rename it to a.nii.gz",
        ),
        ("a.nii.gz", b"", "because it is empty"),
        ("a.nii.gz", b"PK\x03\x04" + bytes(99), "is a ZIP archive: unpack it"),
        ("a.nii", bytes(128) + b"DICM" + bytes(900), "is a DICOM file"),
        ("a.nii", b'{"message": "not found"}', "because it is a text"),
        ("a.nrrd", PLAIN, r"cannot be read as an image that SimpleITK supports \(truncated"),
    ],
)  # fmt: skip
def test_what_a_file_is_instead_is_said(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"{name} .*{sentence}") as raised:
        format_of(path).read_image(path)
    assert "\n" not in str(raised.value)


def test_a_cifti_file_is_not_a_volume(tmp_path: Path) -> None:
    from nibabel import cifti2

    scalars = cifti2.ScalarAxis(["thickness"])
    surface = cifti2.BrainModelAxis.from_surface(np.arange(10), 10, name="CORTEX_LEFT")
    image = cifti2.Cifti2Image(np.zeros((1, 10), np.float32), header=(scalars, surface))
    path = tmp_path / "a.dscalar.nii"
    image.to_filename(path)
    for read in (NIFTI.read_image, NIFTI.read_mask):
        with pytest.raises(UserError, match=r"a\.dscalar\.nii is a CIFTI file"):
            read(path)


def test_a_png_without_its_end_is_refused_and_its_header_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(COLOURS).save(path)
    path.write_bytes(path.read_bytes()[:-12])
    assert read_header(path).height == 24
    with pytest.raises(UserError, match=r"a\.png cannot be read as a picture"):
        format_of(path).read_image(path)
