"""Checks that a file is whole: its checksums, and nothing missing or left at its end.

Libraries stop reading when they have all voxels, so that checksums at the end of a file, and what lies
behind the voxels, are never looked at.
"""

import bz2
import functools
import gzip
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from semiseg.errors import UserError
from semiseg.formats.values import damaged

CHUNK = 2**20
PNG = b"\x89PNG\r\n\x1a\n"


def check_rest(file: IO[bytes] | gzip.GzipFile, path: Path) -> None:
    """Read an open file to its end, which must hold nothing but zeros.

    A decompressing file compares its checksum at the end.

    Raises:
        UserError: for other bytes, which show that header and content do not belong together.
        OSError, EOFError, zlib.error: for a wrong checksum or a missing end.
    """
    wrong = False
    while chunk := file.read(CHUNK):
        wrong = wrong or chunk.count(0) < len(chunk)
    if wrong:
        raise UserError(
            f"{path} holds more bytes than the voxels in its header (damaged, or an unfinished "
            "download): copy it again or leave it out."
        )


def check_end(path: Path, end: int) -> None:
    """Check that an uncompressed file holds nothing but zeros after the byte ``end``.

    Raises:
        UserError: as `check_rest`.
    """
    with path.open("rb") as file:
        file.seek(end)
        check_rest(file, path)


def check_gzip(path: Path) -> None:
    """Decompress a file to its end, without keeping it; a file is checked once while unchanged.

    Raises:
        OSError, EOFError, zlib.error: for a wrong checksum or a missing end.
    """
    status = path.stat()
    _check_gzip(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=64)  # a 4D file is read once for each of its time points
def _check_gzip(path: Path, size: int, mtime_ns: int) -> None:
    with gzip.open(path) as file:
        while file.read(CHUNK):
            pass


def check_stream(path: Path, offset: int, encoding: str, expected: int) -> None:
    """Decompress what lies behind the byte ``offset``, and compare its checksum and its size.

    Args:
        path: the file.
        offset: where the compressed stream begins.
        encoding: ``gzip``, ``zlib`` or ``bzip2``.
        expected: number of decompressed bytes.

    Raises:
        UserError: if the stream is damaged, or holds more or fewer bytes.
    """
    count = 0
    try:
        with path.open("rb") as file:
            file.seek(offset)
            for chunk in _decompressed(file, encoding):
                count += len(chunk)
                if count > expected:
                    break
    except (OSError, EOFError, ValueError, zlib.error):
        raise damaged(path, "an image") from None
    if count != expected:
        raise damaged(path, "an image")


def _decompressed(file: IO[bytes], encoding: str) -> Iterator[bytes]:
    if encoding == "zlib":
        yield from _inflated(file)
        return
    stream: Any = gzip.GzipFile(fileobj=file) if encoding == "gzip" else bz2.BZ2File(file)
    while chunk := stream.read(CHUNK):
        yield chunk


def _inflated(file: IO[bytes]) -> Iterator[bytes]:
    stream = zlib.decompressobj()
    while not stream.eof:
        chunk = stream.unconsumed_tail or file.read(CHUNK)
        found = stream.decompress(chunk, CHUNK)  # compares the checksum at the end
        if not (chunk or found or stream.eof):
            raise EOFError
        yield found


def check_png(path: Path) -> None:
    """Compare the checksums of all chunks of a PNG; other formats are not looked at.

    Raises:
        UserError: for a wrong checksum or a missing end.
    """
    with path.open("rb") as file:
        if file.read(8) != PNG:
            return
        kind = b""
        while kind != b"IEND":
            head = file.read(8)
            if len(head) < 8:
                raise damaged(path, "a picture")
            length, kind = struct.unpack(">I4s", head)
            content, stored = file.read(length), file.read(4)
            if len(stored) < 4 or zlib.crc32(content, zlib.crc32(kind)) != int.from_bytes(stored):
                raise damaged(path, "a picture")
