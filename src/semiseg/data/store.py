"""Writing prepared data sets, never seen half-written."""

import contextlib
import os
import secrets
import shutil
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.manifest import Manifest, write_manifest
from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.files import unwritable


def check_output(out: Path, source: Path, *, overwrite: bool) -> None:
    """Refuse an output folder that must not be written, before anything is done.

    Raises:
        UserError: where ``out`` is the source or holds it, exists without ``overwrite``, or holds
            anything but a prepared data set.
    """
    real, real_source = out.resolve(), source.resolve()
    if real == real_source or real in real_source.parents:
        raise UserError(f"{out} holds the source {source}: choose another output folder.")
    if not real.exists():
        return
    if not real.is_dir():
        raise UserError(f"{out} is a file: choose another output folder.")
    if not any(real.iterdir()):
        return
    if not (real / "manifest.json").is_file():
        raise UserError(
            f"{out} exists and is no prepared data set, so it is not replaced: choose another."
        )
    if not overwrite:
        raise UserError(f"{out} exists: choose another folder, or replace it with --overwrite.")


def leftovers(out: Path) -> list[Path]:
    """Folders beside ``out`` that an interrupted preparation may have left."""
    parent = out.resolve().parent
    return sorted(parent.glob(f".{out.resolve().name}.partial-*")) if parent.is_dir() else []


class DataWriter:
    """Writes a prepared data set beside ``out`` and moves it there at the end.

    Use as a context manager; without :meth:`finish` nothing stays behind.
    """

    def __init__(self, out: Path) -> None:
        """Prepare to write ``out``, which :func:`check_output` has allowed."""
        self.out = out
        self._final = out.resolve()
        self._partial = self._final.with_name(f".{self._final.name}.partial-{secrets.token_hex(4)}")
        self._made: list[Path] = []

    def __enter__(self) -> "DataWriter":
        """Make the folders.

        Raises:
            UserError: where they cannot be made.
        """
        try:
            missing = [p for p in self._partial.parents if not p.exists()]
            for parent in reversed(missing):
                parent.mkdir()
                self._made.append(parent)
            for folder in (self._partial, self._partial / "images", self._partial / "labels"):
                folder.mkdir()
        except OSError as error:
            self._remove()
            raise unwritable(self.out, error) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove whatever was not finished."""
        self._remove()

    def add(self, identifier: str, volume: Volume) -> None:
        """Write one case's arrays.

        Raises:
            UserError: where the disk is full or read-only.
        """
        self._save("images", identifier, volume.image)
        if volume.label is not None:
            self._save("labels", identifier, volume.label)

    def finish(self, manifest: Manifest) -> int:
        """Write the manifest, put the data set in its place, and return its size in bytes.

        Raises:
            UserError: where that fails; what was there before is then there still.
        """
        aside = self._final.with_name(f".{self._final.name}.old-{secrets.token_hex(4)}")
        try:
            write_manifest(self._partial, manifest)
            size = sum(f.stat().st_size for f in self._partial.rglob("*") if f.is_file())
            replaces = self._final.exists()
            if replaces:
                os.rename(self._final, aside)
            try:
                os.rename(self._partial, self._final)
            except BaseException:
                if replaces:
                    os.rename(aside, self._final)
                raise
        except OSError as error:
            raise unwritable(self.out, error) from None
        self._made = []
        if replaces:
            shutil.rmtree(aside, ignore_errors=True)
        return size

    def _save(self, kind: str, identifier: str, array: NDArray[Any]) -> None:
        try:
            np.save(self._partial / kind / f"{identifier}.npy", array, allow_pickle=False)
        except OSError as error:
            raise unwritable(self.out, error) from None

    def _remove(self) -> None:
        shutil.rmtree(self._partial, ignore_errors=True)
        for folder in reversed(self._made):
            with contextlib.suppress(OSError):  # somebody else's files keep a folder alive
                folder.rmdir()
