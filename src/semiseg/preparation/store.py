"""Atomic writing of prepared data sets; an interrupted preparation can be resumed."""

import contextlib
import os
import secrets
import shutil
import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from semiseg.data.arrays import open_array
from semiseg.data.manifest import Manifest, write_manifest
from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.files import LOCK, atomic_write, is_partial, unwritable
from semiseg.preparation.records import (
    NAME,
    LeftOut,
    Record,
    UnreadableCasesError,
    line_of,
    read_records,
    write_records,
)

KINDS = ("images", "labels")


def check_output(out: Path, source: Path) -> None:
    """Check that an output folder may be written.

    Raises:
        UserError: if ``out`` is or contains the source, or contains anything but a prepared data set.
    """
    real, real_source = out.resolve(), source.resolve()
    if real == real_source or real in real_source.parents:
        raise UserError(f"{out} contains the source {source}: choose another output folder.")
    if not real.exists():
        return
    if not real.is_dir():
        raise UserError(f"{out} is a file: choose another output folder.")
    if not all(is_partial(path) for path in real.iterdir()) and not is_prepared(real):
        raise UserError(
            f"{out} exists and is not a prepared data set, so it cannot be replaced: choose another."
        )


def is_prepared(folder: Path) -> bool:
    """Whether ``folder`` contains a manifest."""
    return (folder / "manifest.json").is_file()


class DataWriter:
    """Writes a prepared data set to a hidden folder next to ``out`` and moves it at the end.

    Use it as a context manager. After an interruption or a full disk, the written cases stay in the
    hidden folder, and the next writer with the same options has their records in ``kept``. They also
    stay if other cases cannot be read. After other invalid input, they are removed unless some come
    from an earlier writer. Cases may be added by
    several threads.
    """

    def __init__(self, out: Path, options: Mapping[str, Any]) -> None:
        """Set the output folder, which :func:`check_output` must have checked.

        Args:
            out: the folder of the data set.
            options: all options that determine the content of a case, as JSON types.
        """
        self.out, self.options = out, options
        self._final = out.resolve()
        self.partial = self._final.with_name(f".{self._final.name}.partial")
        self.kept: dict[str, Record] = {}
        self.thrown_away: list[str] = []
        """Names of the options in which a discarded, interrupted preparation differed."""
        self._records: dict[str, Record] = {}
        self._made: list[Path] = []
        self._unwritable = self._finished = False
        self._lock = FileLock(self.partial / LOCK)
        self._adding = threading.Lock()

    def __enter__(self) -> "DataWriter":
        """Create the folders, or resume from existing ones.

        Raises:
            UserError: if they cannot be created, or another process writes to them.
        """
        try:
            missing = [p for p in self.partial.parents if not p.exists()]
            for parent in reversed(missing):
                parent.mkdir()
                self._made.append(parent)
            self.partial.mkdir(exist_ok=True)
            self._lock.acquire(blocking=False)
        except Timeout:
            raise UserError(
                f"{self.out} is being prepared by another process: wait for it, or use another -o."
            ) from None
        except NotImplementedError:
            pass  # a file system without locks
        except OSError as error:
            self._remove_parents()
            raise unwritable(self.out, error) from None
        if not is_partial_set(self.partial):
            self._lock.release()
            (self.partial / LOCK).unlink(missing_ok=True)
            raise UserError(
                f"{self.partial} is needed for an interrupted preparation, but semiseg did not write what "
                "it contains: rename it, or use another -o."
            )
        try:
            self._resume()
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
        """Keep complete cases after an interruption; remove them after invalid input."""
        if self._finished:
            return
        if error is not None and self.keeps(error):
            self._lock.release()
        else:
            self._remove()

    @property
    def whole_cases(self) -> int:
        """The number of written cases."""
        return len(self._records)

    def keeps(self, error: BaseException) -> bool:
        """Whether the written cases are kept when ``error`` ends the preparation."""
        unreadable = isinstance(error, UnreadableCasesError)  # all others were read
        invalid_input = isinstance(error, UserError) and not (self._unwritable or unreadable)
        return bool(self._records) and (bool(self.kept) or not invalid_input)

    def add(self, volume: Volume, record: Record) -> None:
        """Write the arrays of a case and then its record, which marks them as complete.

        Raises:
            UserError: if the disk is full or read-only.
        """
        try:
            self._save("images", record.identifier, volume.image)
            if volume.label is not None:
                self._save("labels", record.identifier, volume.label)
            else:  # its label was removed since an interrupted preparation
                (self.partial / "labels" / f"{record.identifier}.npy").unlink(missing_ok=True)
            self._append(record)
        except OSError as error:
            self._unwritable = True
            raise unwritable(self.out, error) from None

    def take(self, record: Record, folder: Path) -> bool:
        """Link or copy a case of an earlier data set; returns whether it was complete."""
        if not arrays_fit(folder, record):
            return False
        try:
            for kind in KINDS if record.voxels is not None else KINDS[:1]:
                old = folder / kind / f"{record.identifier}.npy"
                with atomic_write(self.partial / kind / old.name) as new:
                    try:
                        os.link(old, new)
                    except OSError:  # another file system, or one without hard links
                        shutil.copyfile(old, new)
            self._append(record)
        except OSError:
            return False
        return True

    def finish(self, manifest: Manifest, left_out: Sequence[LeftOut] = ()) -> int:
        """Write the manifest, move the data set to ``out``, and return its size in bytes.

        The records also list the cases that were left out, so that they are not taken for new ones.

        Raises:
            UserError: if that fails; an earlier data set is then unchanged.
        """
        self._unwritable = True
        try:
            order = [case.identifier for case in manifest.cases]
            records = [self._records[name] for name in order]
            write_records(self.partial, self.options, [*records, *left_out])
            self._sweep(order)
            write_manifest(self.partial, manifest)
            size = size_of(self.partial)
            put_in_place(self.partial, self._final)
        except OSError as error:
            raise unwritable(self.out, error) from None
        self._finished = True
        self._lock.release()
        (self._final / LOCK).unlink(missing_ok=True)
        return size

    def _resume(self) -> None:
        """Load the complete cases of an earlier writer with the same options; remove others."""
        found = read_records(self.partial)
        if found is not None:
            options, records = found
            changed = sorted(
                k for k in {*options, *self.options} if options.get(k) != self.options.get(k)
            )
            if changed:
                self.thrown_away = changed if records else []
            else:
                self.kept = {n: r for n, r in records.items() if arrays_fit(self.partial, r)}
        for kind in KINDS:
            (self.partial / kind).mkdir(exist_ok=True)
        self._records = dict(self.kept)
        self._sweep(self.kept)
        write_records(self.partial, self.options, self.kept.values())

    def _sweep(self, names: Sequence[str] | Mapping[str, Record]) -> None:
        """Remove arrays of cases that are not in ``names``, and temporary files."""
        wanted = {(kind, f"{name}.npy") for name in names for kind in KINDS}
        for kind in KINDS:
            for path in (self.partial / kind).iterdir():
                if (kind, path.name) not in wanted:
                    path.unlink()

    def _append(self, record: Record) -> None:
        with self._adding:
            with (self.partial / NAME).open("a", encoding="utf-8") as file:
                file.write(line_of(record))
            self._records[record.identifier] = record

    def _save(self, kind: str, identifier: str, array: NDArray[Any]) -> None:
        with atomic_write(self.partial / kind / f"{identifier}.npy") as partial:
            np.save(partial, array, allow_pickle=False)

    def _remove(self) -> None:
        self._lock.release()
        remove_set(self.partial)
        self._remove_parents()

    def _remove_parents(self) -> None:
        for folder in reversed(self._made):
            with contextlib.suppress(OSError):  # other files may have been added to the folder
                folder.rmdir()


def size_of(folder: Path) -> int:
    """Size of all files in ``folder`` in bytes."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def put_in_place(partial: Path, final: Path) -> None:
    """Rename the folder ``partial`` to ``final``, replacing an existing one.

    Raises:
        OSError: if that fails; the existing folder is then unchanged.
    """
    aside = final.with_name(f".{final.name}.old")
    remove_set(aside)  # left by a process that was killed in this function
    if aside.exists():  # it contains something of the user
        aside = final.with_name(f"{aside.name}-{secrets.token_hex(4)}")
    replaces = final.exists()
    if replaces:
        os.rename(final, aside)
    try:
        os.rename(partial, final)
    except BaseException:
        if replaces:
            os.rename(aside, final)
        raise
    if replaces:
        remove_set(aside)
        _keep_others(aside, final)


def is_partial_set(folder: Path, names: Collection[str] = ()) -> bool:
    """Whether ``folder`` is empty, or contains only what a `DataWriter` writes.

    Folders of arrays are not links and contain nothing but arrays, which prove to be ours by records in
    ``folder`` or by their names.

    Args:
        folder: a folder.
        names: identifiers of the cases whose arrays may be there without records.
    """
    recorded = (folder / NAME).is_file()
    others = {path.name for path in folder.iterdir() if not is_partial(path)} - {*KINDS}
    if folder.is_symlink() or (others and not recorded):
        return False
    for inner in (folder / kind for kind in KINDS):
        if inner.is_symlink() or (inner.exists() and not inner.is_dir()):
            return False
        for path in inner.iterdir() if inner.is_dir() else ():
            if path.is_dir() or not (is_partial(path) or path.suffix == ".npy"):
                return False
            if not (recorded or is_partial(path) or path.stem in names):
                return False
    return True


def remove_set(folder: Path) -> None:
    """Remove the files of a prepared data set, and the folder if nothing else is in it.

    Links to other folders are not followed.
    """
    with contextlib.suppress(OSError):
        if folder.is_symlink() or not folder.is_dir():
            return
        for kind in KINDS:
            inner = folder / kind
            if inner.is_dir() and not inner.is_symlink():
                for path in inner.iterdir():
                    if path.suffix == ".npy":
                        path.unlink()
                with contextlib.suppress(OSError):
                    inner.rmdir()
        for path in folder.iterdir():
            if path.name in ("manifest.json", NAME) or is_partial(path):
                path.unlink()
        folder.rmdir()


def _keep_others(aside: Path, final: Path) -> None:
    """Move files of the user from a data set that was replaced to the new one."""
    with contextlib.suppress(OSError):
        for path in aside.iterdir():
            if not (final / path.name).exists():
                os.rename(path, final / path.name)
        aside.rmdir()


def arrays_fit(folder: Path, record: Record) -> bool:
    """Whether ``folder`` contains the complete arrays of a record with its shapes."""
    depth, _, height, width = record.shape
    shapes = {"images": record.shape, "labels": (depth, height, width)}
    for kind in KINDS if record.voxels is not None else KINDS[:1]:
        # opening the file fails if it is too short, without reading it
        array = open_array(folder / kind / f"{record.identifier}.npy")
        if array is None or array.shape != shapes[kind]:
            return False
    return True
