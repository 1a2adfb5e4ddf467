"""Packs: prepared data sets in one file, a zip archive of compressed arrays.

::

    manifest.json        as in the data set
    images/CASE          codes of 8 or 16 bits (`semiseg.preparation.packing`)
    labels/CASE          class codes (exact)
    pack.json            the coding of each image, and the SHA-256 of every other member

Names of members are never used as paths: members are looked up by the manifest's identifiers, and any
other member is an error.
"""

import contextlib
import hashlib
import math
import shutil
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from semiseg.data.check import check_case
from semiseg.data.identifiers import flaw_of
from semiseg.data.manifest import Case, Manifest, PreparedData, window_of
from semiseg.digests import text_digest
from semiseg.errors import UserError
from semiseg.files import is_special
from semiseg.formats.memory import free_memory
from semiseg.formats.sizes import DEFLATE
from semiseg.preparation.packing import Bits, Coding, choose, from_planes, to_planes
from semiseg.stored import parse_stored

M = TypeVar("M", bound=BaseModel)
EPOCH = (1980, 1, 1, 0, 0, 0)  # a fixed date: equal data give equal files
MOST_AT_ONCE = 2**20  # values that are unpacked at a time, at least one row
PER_VALUE = 40  # bytes per value that is being unpacked: codes, sums, values in double precision
LARGEST_TEXT = 2**26  # bytes of manifest.json or pack.json
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError,
           RuntimeError)  # fmt: skip


class Content(BaseModel):
    """The content of ``pack.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["semiseg pack 2"] = "semiseg pack 2"
    bits: Bits
    codings: dict[str, Coding]
    digests: dict[str, str]


def write_pack(path: Path, data: PreparedData, manifest: Manifest, bits: Bits) -> Iterator[Case]:
    """Write the cases of ``manifest``, with the arrays of ``data``; yields each written case.

    Raises:
        UserError: for missing arrays.
        OSError: if the file cannot be written.
        UserError: for arrays that do not fit the manifest.
    """
    codings: dict[str, Coding] = {}
    digests: dict[str, str] = {}
    follows = window_of(manifest.cases) is not None
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as file:

        def put(name: str, size: int, parts: Iterable[bytes]) -> None:
            info = zipfile.ZipInfo(name, EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.file_size = size
            digest = hashlib.sha256()
            with file.open(info, "w") as member:
                for part in parts:
                    digest.update(part)
                    member.write(part)
            digests[name] = digest.hexdigest()

        for case in manifest.cases:
            check_case(data, case)
            image = data.image(case.identifier)
            # a training may use another window where the window follows its labels
            clips = manifest.task.intensity.clips and not follows
            coding = choose(image, case.bounds if clips else None, bits)
            codings[case.identifier] = coding
            put(f"images/{case.identifier}", image.size * coding.bits // 8, _planes(coding, image))
            if case.labelled:
                label = data.label(case.identifier)
                put(f"labels/{case.identifier}", label.size, (one.tobytes() for one in label))
            yield case
        if manifest.content and not all(coding.exact for coding in codings.values()):
            # what is unpacked differs from the source
            content = text_digest(f"{manifest.content} in {bits} bits")
            manifest = manifest.model_copy(update={"content": content})
        text = manifest.model_dump_json().encode()
        put("manifest.json", len(text), [text])
        text = Content(bits=bits, codings=codings, digests=digests).model_dump_json().encode()
        put("pack.json", len(text), [text])


def is_pack(path: Path) -> bool:
    """Whether a file begins as a pack: an archive with a member ``pack.json``."""
    if is_special(path):
        return False
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            return "pack.json" in archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


def _planes(coding: Coding, image: NDArray[np.generic]) -> Iterator[bytes]:
    """The bytes of all codes of [D, C, H, W], one slice at a time: all lower bytes, all upper ones."""
    for plane in range(coding.bits // 8):
        for one in image:
            yield to_planes(coding.codes(one))[plane].tobytes()


class Pack:
    """An open pack. Use it as a context manager."""

    def __init__(self, path: Path) -> None:
        """Open ``path`` and check it as far as possible without unpacking arrays.

        Raises:
            UserError: for a file that is not a pack, is truncated, or has unexpected members.
        """
        self.path = path
        try:
            self._file = zipfile.ZipFile(path)
        except DAMAGED:
            raise self._damaged() from None
        try:
            self._infos = self._members()
            self.content = self._parsed("pack.json", Content)
            self.manifest = self._parsed("manifest.json", Manifest)
            self._check()
        except UserError:
            self._file.close()
            raise

    def __enter__(self) -> "Pack":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def size(self) -> int:
        """Size of all unpacked arrays in bytes."""
        total = 0
        for case in self.manifest.cases:
            dtype = np.dtype(self.content.codings[case.identifier].dtype)
            total += math.prod(case.shape) * dtype.itemsize
            total += math.prod(_label_shape(case)) if case.labelled else 0
        return total

    def unpack_image(self, case: Case, target: NDArray[np.generic]) -> None:
        """Write the image of a case into [D, C, H, W], a few rows at a time.

        Raises:
            UserError: for damaged members; ``target`` is then incomplete.
        """
        coding = self.content.codings[case.identifier]
        depth, channels, height, width = case.shape
        name = f"images/{case.identifier}"
        at_once = max(MOST_AT_ONCE // width, 1)
        with contextlib.ExitStack() as stack:
            streams = [stack.enter_context(self._stream(name)) for _ in range(coding.bits // 8)]
            for plane, stream in enumerate(streams):
                stream.skip(plane * math.prod(case.shape))
            for index in np.ndindex(depth, channels):
                for first in range(0, height, at_once):
                    rows = slice(first, min(first + at_once, height))
                    count = (rows.stop - rows.start) * width
                    planes = np.stack([np.frombuffer(one.read(count), np.uint8) for one in streams])
                    codes = from_planes(planes, width, coding.bits)
                    target[index][rows] = coding.restore(codes, index[1])
            self._check_digest(name, streams[-1])  # it has read the member from end to end

    def unpack_label(self, case: Case, target: NDArray[np.uint8]) -> None:
        """Write the label of a labelled case into [D, H, W], one slice at a time.

        Raises:
            UserError: for damaged members; ``target`` is then incomplete.
        """
        name = f"labels/{case.identifier}"
        with self._stream(name) as stream:
            for one in target:
                one[:] = np.frombuffer(stream.read(one.size), np.uint8).reshape(one.shape)
            self._check_digest(name, stream)

    @contextlib.contextmanager
    def _stream(self, name: str) -> Iterator["_Stream"]:
        try:
            with self._file.open(self._infos[name]) as member:
                yield _Stream(member)
        except UserError:
            raise
        except DAMAGED:
            raise self._damaged() from None

    def _check_digest(self, name: str, stream: "_Stream") -> None:
        if stream.digest() != self.content.digests[name]:
            raise self._damaged()

    def _members(self) -> dict[str, zipfile.ZipInfo]:
        infos = {info.filename: info for info in self._file.infolist()}
        if len(infos) < len(self._file.infolist()) or not {"pack.json", "manifest.json"} <= {
            *infos
        }:
            raise UserError(
                f"{self.path} is not a pack of semiseg: give a file that 'semiseg pack' wrote."
            )
        return infos

    def _check(self) -> None:
        expected: dict[str, int | None] = {"manifest.json": None, "pack.json": None}
        expected |= dict(self._expected())
        for name, size in expected.items():
            info = self._infos.get(name)
            if info is None:
                raise UserError(f"{self.path} lacks {name}: pack the data again.")
            if name != "pack.json" and name not in self.content.digests:
                raise UserError(f"{self.path} has no digest of {name}: pack the data again.")
            if size is None:
                continue
            if info.file_size != size or size > info.compress_size * DEFLATE + 1024:
                raise UserError(
                    f"{self.path}: {name} has {info.file_size:,} bytes instead of {size:,}: "
                    "do not use this file."
                )
        for name in self._infos:
            if name not in expected:
                raise UserError(
                    f"{self.path} has the unexpected member {name}: do not use this file."
                )
        if self._digest("manifest.json", self._text("manifest.json")):
            raise self._damaged()

    def _expected(self) -> Iterable[tuple[str, int]]:
        """Names and sizes of all arrays."""
        free = free_memory()
        for case in self.manifest.cases:
            flaw = flaw_of(case.identifier)
            if flaw is not None:
                raise UserError(
                    f"{self.path} names a case '{case.identifier}', which {flaw}: do not use this file."
                )
            coding = self.content.codings.get(case.identifier)
            if coding is None or min(case.shape) < 1:
                raise UserError(
                    f"{self.path} has no coding of {case.identifier}: pack the data again."
                )
            values = math.prod(case.shape)
            needed = PER_VALUE * max(case.shape[3], min(MOST_AT_ONCE, values))
            if free is not None and needed > free:
                raise UserError(
                    f"{self.path}: {case.identifier} needs {needed / 1e9:,.1f} GB of memory: use a larger "
                    "machine."
                )
            yield f"images/{case.identifier}", values * coding.bits // 8
            if case.labelled:
                yield f"labels/{case.identifier}", math.prod(_label_shape(case))

    def _parsed(self, name: str, model: type[M]) -> M:
        remedy = "pack the data again with this version of semiseg"
        return parse_stored(self._text(name), self.path / name, model, remedy)

    def _text(self, name: str) -> bytes:
        if self._infos[name].file_size > LARGEST_TEXT:
            raise UserError(f"{self.path}: {name} is too large: do not use this file.")
        return self._raw(name)

    def _raw(self, name: str) -> bytes:
        info = self._infos[name]
        try:
            with self._file.open(info) as member:
                content = member.read(info.file_size)  # at most the checked size
        except DAMAGED:
            raise self._damaged() from None
        if len(content) != info.file_size:
            raise self._damaged()
        return content

    def _digest(self, name: str, content: bytes) -> bool:
        """Whether the digest differs."""
        return hashlib.sha256(content).hexdigest() != self.content.digests[name]

    def _damaged(self) -> UserError:
        return UserError(
            f"{self.path} is not a pack of semiseg, or it is truncated or damaged: copy it again."
        )


class _Stream:
    """Reads a member from its beginning, and digests what it has read."""

    def __init__(self, member: IO[bytes]) -> None:
        self._member = member
        self._digest = hashlib.sha256()

    def read(self, count: int) -> bytes:
        """Exactly ``count`` bytes.

        Raises:
            EOFError: if the member is shorter.
        """
        content = self._member.read(count)
        if len(content) != count:
            raise EOFError
        self._digest.update(content)
        return content

    def skip(self, count: int) -> None:
        """Read ``count`` bytes without keeping them."""
        while count:
            count -= len(self.read(min(count, MOST_AT_ONCE)))

    def digest(self) -> str:
        """The SHA-256 of all bytes, which must have been read."""
        if self._member.read(1):
            raise EOFError
        return self._digest.hexdigest()


def _label_shape(case: Case) -> tuple[int, int, int]:
    depth, _, height, width = case.shape
    return depth, height, width


def room_for(pack: Pack, folder: Path) -> None:
    """Check that the disk of ``folder`` has room for the unpacked arrays.

    Raises:
        UserError: if it does not.
    """
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if pack.size > free:
        raise UserError(
            f"{pack.path} needs {pack.size / 1e9:,.1f} GB but {folder} has only {free / 1e9:,.1f} GB "
            "free: free space or choose another folder."
        )
