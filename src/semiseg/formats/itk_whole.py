"""Check that the voxels of a MetaImage or NRRD file are complete and undamaged."""

import math
from collections.abc import Sequence
from pathlib import Path

from semiseg.formats.itk_header import ItkHeader
from semiseg.formats.values import damaged
from semiseg.formats.whole import check_end, check_stream


def check_voxels(header: ItkHeader, others: Sequence[Path]) -> None:
    """Compare the voxels with their checksum and with the size in the header.

    SimpleITK prints an error of decompression but returns voxels, and never reads the checksum.

    Args:
        header: the file's header.
        others: the files of its voxels, if they are not in the same file.

    Raises:
        UserError: if voxels are damaged or missing, or if other bytes follow them.
    """
    sizes, itemsize = header.sizes, header.itemsize
    if itemsize is None or not sizes or min(sizes) < 0:
        return  # SimpleITK refuses it
    files = tuple(others) or (header.path,)
    expected, rest = divmod(math.prod(sizes) * itemsize, len(files))
    encoding = _encoding(header)
    if rest or encoding == "text" or (encoding != "raw" and len(files) > 1):
        return
    for path in files:
        start, more = _skipped(header, path, encoding)
        if encoding != "raw":
            check_stream(path, start or 0, encoding, expected + more)
            continue
        if path.stat().st_size < (start or 0) + more + expected:
            raise damaged(path, "an image")
        if start is not None:
            check_end(path, start + more + expected)


def _encoding(header: ItkHeader) -> str:
    if header.nrrd:
        word = header.get("encoding").lower()
        names = {"gz": "gzip", "gzip": "gzip", "raw": "raw"}
        return names.get(word, "text")
    if header.true("compresseddata"):
        return "zlib"
    return "text" if header.get("binarydata").lower() in ("false", "0") else "raw"


def _skipped(header: ItkHeader, path: Path, encoding: str) -> tuple[int | None, int]:
    """Where the voxels begin (None: at the end of the file), and how many bytes then precede them."""
    start = header.end if path == header.path else 0
    if not header.nrrd:
        size = int((header.numbers("headersize") or [0])[0])
        if size < 0 and encoding == "raw":
            return None, 0
        return (start if path == header.path else max(size, 0)), 0
    lines = int((header.numbers("line skip") or [0])[0])
    skipped = int((header.numbers("byte skip") or [0])[0])
    if lines > 0:
        with path.open("rb") as file:
            file.seek(start)
            start += sum(len(file.readline()) for _ in range(lines))
    return (None, 0) if skipped < 0 else (start, skipped)
