"""Finding of DICOM files in folders, and reading of their headers."""

import contextlib
import dataclasses
import logging
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from semiseg.errors import UserError
from semiseg.files import walk_files
from semiseg.formats.named import suffix_of

MAGIC = b"DICM"  # after 128 bytes of any content
HEAD = 1024  # bytes that tell whether a file without this prefix is DICOM
FIRST_GROUPS = (0x0002, 0x0008)  # a data set begins with one of these groups of elements
LONG = frozenset((b"OB", b"OW", b"UN", b"UT", b"SQ", b"UC", b"UR"))  # with a length of 4 bytes
SHORT = frozenset((b"AE", b"AS", b"CS", b"DA", b"DS", b"DT", b"IS", b"LO", b"LT", b"PN", b"SH",
                   b"ST", b"TM", b"UI", b"UL", b"US"))  # fmt: skip
DEFLATED = "1.2.840.10008.1.2.1.99"


@dataclasses.dataclass(frozen=True)
class Files:
    """The DICOM files below a folder, and what could not be opened there.

    Attributes:
        paths: DICOM files, sorted.
        folders: number of folders that cannot be listed.
        locked: number of files that cannot be opened.
    """

    paths: tuple[Path, ...]
    folders: int
    locked: int


def holds_dicom(folder: Path) -> bool:
    """Whether any file below ``folder`` is DICOM."""
    return any(is_dicom(path) for path in _candidates(folder, [], detect=True))


def is_dicom(path: Path) -> bool:
    """Whether a file has the DICOM prefix, or begins with a data set as files without it do."""
    return _is_dicom(path) is True


def dicom_files(folder: Path) -> Files:
    """List the DICOM files below ``folder``, except those that have the suffix of another format."""
    closed: list[OSError] = []
    paths, locked = [], 0
    for path in _candidates(folder, closed):
        found = _is_dicom(path)
        locked += found is None
        if found:
            paths.append(path)
    return Files(tuple(paths), len(closed), locked)


@contextlib.contextmanager
def quiet(folder: Path) -> Iterator[Any]:
    """Yield pydicom without its warnings, which may contain patients' data from headers.

    Raises:
        UserError: if pydicom is not installed.
    """
    try:
        import pydicom
    except ImportError:
        raise UserError(
            f"{folder} contains DICOM files, for which packages are missing: "
            "run pip install 'semiseg[dicom]'."
        ) from None
    for name in ("pydicom", "highdicom"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield pydicom


def read_header(pydicom: Any, path: Path, called: str, tags: list[str | int]) -> Any:
    """The header of a file, without its pixels; ``called`` is the file's name in messages.

    Raises:
        UserError: for a damaged file, and for one that is deflated as a whole.
    """
    damaged = UserError(f"{called} cannot be read (damaged): copy it again or leave it out.")
    try:
        meta = pydicom.filereader.read_file_meta_info(path) if _has_prefix(path) else {}
    except Exception:  # damaged files can raise any exception
        raise damaged from None
    if meta.get("TransferSyntaxUID") == DEFLATED:
        raise UserError(
            f"{called} is deflated as a whole: rewrite it, for example with dcmconv +te."
        )
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags, force=True)
        for element in header:  # access parses the value
            header[element.tag]
    except Exception:
        raise damaged from None
    # anonymisers may blank the class; what is left must still be a data set
    if not (header.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID") or len(header) > 1):
        raise damaged
    return header


def _candidates(folder: Path, closed: list[OSError], detect: bool = False) -> Iterator[Path]:
    """Files that may be DICOM; folders that cannot be listed are added to ``closed``."""
    try:
        for path in walk_files(folder, closed.append, skip_outside=detect):
            if not (suffix_of(path) or path.name.upper() == "DICOMDIR"):
                yield path
    except UserError:  # its message contains the names of folders
        raise UserError(
            f"{folder} has a link to a folder outside of it: link the files themselves, or move that "
            "folder there."
        ) from None


def _is_dicom(path: Path) -> bool | None:
    """Whether a file is DICOM; None if it cannot be opened."""
    try:
        if not path.is_file():  # reading a named pipe would wait for ever
            return False
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except OSError:
        return None
    return head[128:132] == MAGIC or _begins_with_elements(head)


def _has_prefix(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(132)[128:] == MAGIC


def _begins_with_elements(head: bytes) -> bool:
    """Whether the first two elements of a data set follow: in group 2 or 8, with rising tags."""
    for order in "<>":
        try:
            first = struct.unpack_from(f"{order}HH", head)
            kind, length, start = head[4:6], *struct.unpack_from(f"{order}I", head, 4), 8
            if kind in SHORT:
                (length,) = struct.unpack_from(f"{order}H", head, 6)
            elif kind in LONG:
                (length,), start = struct.unpack_from(f"{order}I", head, 8), 12
            second = struct.unpack_from(f"{order}HH", head, start + length)
        except struct.error:
            continue
        if first[0] in FIRST_GROUPS and second[0] in FIRST_GROUPS and second > first:
            return True
    return False
