"""Packs: prepared data sets in one file, a zip archive of compressed arrays.

::

    manifest.json        as in the data set
    images/CASE          codes of 8 or 16 bits (`semiseg.preparation.packing`)
    labels/CASE          class codes (exact)
    pack.json            the coding of each image, and the SHA-256 of every other member

Names of members are never used as paths: members are looked up by the manifest's identifiers, and any
other member is an error.
"""

import hashlib
import math
import shutil
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from semiseg.data.identifiers import flaw_of
from semiseg.data.manifest import Case, Manifest, PreparedData, window_of
from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.formats.sizes import DEFLATE, free_memory
from semiseg.preparation.packing import Bits, Coding, choose, from_bytes, to_bytes
from semiseg.stored import parse_stored

M = TypeVar("M", bound=BaseModel)
EPOCH = (1980, 1, 1, 0, 0, 0)  # a fixed date: equal data give equal files
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
    """
    codings: dict[str, Coding] = {}
    digests: dict[str, str] = {}
    follows = window_of(manifest.cases) is not None
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as file:

        def put(name: str, content: bytes) -> None:
            digests[name] = hashlib.sha256(content).hexdigest()
            info = zipfile.ZipInfo(name, EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(info, content)

        for case in manifest.cases:
            image = data.image(case.identifier)
            # a training may use another window where the window follows its labels
            clips = manifest.task.intensity.clips and not follows
            coding = choose(image, case.bounds if clips else None, bits)
            codings[case.identifier] = coding
            put(f"images/{case.identifier}", to_bytes(coding.codes(image)))
            if case.labelled:
                put(f"labels/{case.identifier}", data.label(case.identifier).tobytes())
            yield case
        put("manifest.json", manifest.model_dump_json().encode())
        content = Content(bits=bits, codings=codings, digests=digests)
        put("pack.json", content.model_dump_json().encode())


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

    def volume(self, case: Case) -> Volume:
        """The arrays of a case.

        Raises:
            UserError: for damaged members.
        """
        coding = self.content.codings[case.identifier]
        codes = from_bytes(self._read(f"images/{case.identifier}"), case.shape, coding.bits)
        label = None
        if case.labelled:
            content = self._read(f"labels/{case.identifier}")
            label = np.frombuffer(content, np.uint8).reshape(_label_shape(case))
        return Volume(coding.restore(codes), label)

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
            if (
                free is not None and 16 * values > free
            ):  # codes, sums and values in double precision
                raise UserError(
                    f"{self.path}: {case.identifier} needs {16 * values / 1e9:,.1f} GB of memory: use a "
                    "larger machine."
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

    def _read(self, name: str) -> bytes:
        content = self._raw(name)
        if self._digest(name, content):
            raise self._damaged()
        return content

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
