"""What a file is that cannot be read as the format of its name."""

import gzip
import zlib
from pathlib import Path

START = 1024  # bytes that are looked at
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", ".webp")
NIFTI_MAGIC = (b"n+1\0", b"ni1\0")
GZIP = b"\x1f\x8b"
OTHERS = {
    b"PK\x03\x04": "a ZIP archive: unpack it",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it",
    b"Rar!": "a RAR archive: unpack it",
    b"BZh": "compressed with bzip2: unpack it",
    b"\xfd7zXZ": "compressed with xz: unpack it",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: unpack it",
    b"\x89HDF": "an HDF5 file: give it the suffix .h5, or export the image",
    b"\x89PNG": "a PNG picture: give it the suffix .png",
    b"\xff\xd8\xff": "a JPEG picture: give it the suffix .jpg",
    b"GIF8": "a GIF picture: save it as PNG",
    b"NRRD000": "an NRRD file: give it the suffix .nrrd",
    b"ObjectType": "a MetaImage file: give it the suffix .mha",
    b"%PDF": "a PDF document: export the image",
}


def what_it_is(path: Path, what: str) -> str | None:
    """The middle and end of a sentence about a file that is not what its name says; None if unknown.

    Call it only after reading as ``what``, such as "a picture", has failed.
    """
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            start = file.read(START)
    except OSError:
        return None
    if not start:
        return f"cannot be read as {what}, because it is empty: copy it again or leave it out."
    return _text(start) or _binary(path, start, what)


def _text(start: bytes) -> str | None:
    if start.startswith(b"version https://git-lfs.github.com/spec"):
        return (
            "is not the image but a Git LFS pointer to it: run 'git lfs pull' in its repository, or "
            "leave it out."
        )
    if b"annex/objects/" in start:
        return (
            "is not the image but a git-annex pointer to it: run 'git annex get' in its repository, "
            "or leave it out."
        )
    lower = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if lower.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml", b"<error")):
        kind = "an XML text" if lower.startswith((b"<?xml", b"<error")) else "a web page"
        return (
            f"is {kind}, not an image (a download that failed or needs a login): download it again "
            "or leave it out."
        )
    return None


def _binary(path: Path, start: bytes, what: str) -> str | None:
    name = path.name.lower()
    if name.endswith(".gz"):
        if not start.startswith(GZIP) and _is_nifti(start):
            return (
                f"is not compressed, although its name ends in .gz: rename it to "
                f"{path.name[: -len('.gz')]}, or compress it with gzip."
            )
        if start.startswith(GZIP):
            return _text(_unpacked(path))
    elif start.startswith(GZIP) and _is_nifti(_unpacked(path)):
        return (
            f"is compressed with gzip, although its name does not end in .gz: rename it to "
            f"{path.stem}.nii.gz, or unpack it."
        )
    for magic, sentence in OTHERS.items():
        if start.startswith(magic) and not _is_own(name, magic):
            return f"is {sentence}, or leave it out."
    if start[128:132] == b"DICM":
        return "is a DICOM file: rename it to .dcm, keep its series in one folder, or leave it out."
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in start) and not _is_header(start):
        return f"cannot be read as {what}, because it is a text: copy it again or leave it out."
    return None


def _is_own(name: str, magic: bytes) -> bool:
    """Whether a file of that suffix begins so, and is therefore damaged and not misnamed."""
    if magic in (b"\x89PNG", b"\xff\xd8\xff", b"GIF8"):  # Pillow ignores the suffix
        return name.endswith(PICTURES)
    own = {b"PK\x03\x04": ".npz", b"\x89HDF": ".h5"}
    return (magic in own and name.endswith(own[magic])) or (
        magic in (b"NRRD000", b"ObjectType") and name.endswith((".nrrd", ".nhdr", ".mha", ".mhd"))
    )


def _is_header(start: bytes) -> bool:
    return start.startswith((b"NRRD", b"ObjectType", b"NDims"))


def _is_nifti(start: bytes) -> bool:
    return start[344:348] in NIFTI_MAGIC or start[4:12] == b"n+2\0\r\n\032\n"


def _unpacked(path: Path) -> bytes:
    """The first decompressed bytes; empty if there are none."""
    try:
        with gzip.open(path) as file:
            return file.read(START)
    except (OSError, EOFError, zlib.error):
        return b""
