"""ACDC in the HDF5 form of SSL4MIS, with the split and the order of labelled patients of the papers.

``data/slices/patient001_frame01_slice_1.h5`` ([H, W]) for training, ``data/patient028_frame01.h5``
([D, H, W]) for whole volumes. ``train_slices.list``, ``train.list``, ``val.list`` and ``test.list``
name the files without suffix. Intensities are scaled to [0, 1] per volume. There is no spacing.
"""

import functools
import re
from collections.abc import Sequence
from pathlib import Path

from semiseg.data.manifest import Part, Split
from semiseg.data.task import Intensity
from semiseg.datasets.array_cases import array_case
from semiseg.datasets.base import Options, Scan, SourceCase, patient_of, with_background
from semiseg.errors import UserError
from semiseg.formats.hdf5 import HDF5

CLASSES = ("RV", "Myo", "LV")
SLICE = re.compile(r"(.+)_slice_(\d+)$")
LISTS: dict[Part, tuple[str, ...]] = {
    "train": ("train_slices.list", "train.list"),
    "validation": ("val.list",),
    "test": ("test.list",),
}


class AcdcHdf5:
    """Slices and volumes in HDF5, with lists of their names."""

    name = "acdc-hdf5"
    summary = "ACDC in HDF5, as in SSL4MIS: data/*.h5 with train_slices.list and val.list"
    where = "github.com/HiLab-git/SSL4MIS; the terms of ACDC apply"

    def detect(self, folder: Path) -> str | None:
        """Look for HDF5 files with lists, or a folder of HDF5 slices."""
        lists = [name for names in LISTS.values() for name in names if (folder / name).is_file()]
        if next((folder / "data").glob("slices/*_slice_*.h5"), None) is not None:
            return f"data/slices holds HDF5 slices; lists: {', '.join(lists) or 'none'}"
        if lists and next((folder / "data").glob("*.h5"), None) is not None:
            return f"data holds HDF5 files, named by {', '.join(lists)}"
        return None

    def scan(self, folder: Path, options: Options) -> Scan:
        """Stack listed slices to volumes; without lists, use all files.

        A case with a listed file or a slice that is missing raises it when it is read.

        Raises:
            UserError: for a list that cannot be read, or of which no file exists.
        """
        files = {path.stem: path for path in sorted((folder / "data").glob("*.h5"))}
        files |= {path.stem: path for path in sorted((folder / "data" / "slices").glob("*.h5"))}
        cases: list[SourceCase] = []
        patients: dict[Part, tuple[str, ...]] = {}
        for part, lists in LISTS.items():
            path = next((folder / name for name in lists if (folder / name).is_file()), None)
            if path is None:
                continue
            found = self._cases(folder, listed_names(path), files, part, options, path)
            cases += found
            patients[part] = tuple(dict.fromkeys(case.patient for case in found))
        split, notes = None, []
        if patients:
            order = patients.get("train", ())
            split = Split(
                train=order,
                validation=patients.get("validation", ()),
                test=patients.get("test", ()),
                labelled_order=order,
                origin="the papers' lists; labelled first are the first in train_slices.list",
            )
            if not order:
                raise UserError(f"{folder} has no list for training: add train_slices.list.")
        else:
            cases = self._cases(folder, list(files), files, None, options, folder / "data")
            notes.append("no lists (train_slices.list, val.list): the split is drawn.")
        return Scan(
            name="ACDC",
            cases=tuple(cases),
            classes=with_background(options.classes or CLASSES),
            kind="volumes",
            intensity=Intensity(kind="minmax"),
            split=split,
            notes=tuple(notes),
        )

    def _cases(
        self,
        folder: Path,
        names: Sequence[str],
        files: dict[str, Path],
        part: Part | None,
        options: Options,
        origin: Path,
    ) -> list[SourceCase]:
        volumes: dict[str, list[tuple[int, Path]]] = {}
        absent: dict[str, str] = {}
        for name in names:
            slice_name = SLICE.match(name)
            identifier = slice_name.group(1) if slice_name else name
            numbers = volumes.setdefault(identifier, [])
            if not slice_name and name not in files:
                found = _slices_of(name, files)
            elif name in files:
                found = [(int(slice_name.group(2)) if slice_name else 0, files[name])]
            else:
                found = []
            numbers += found
            if not found:
                absent[identifier] = (
                    f"{origin} names {name}, but {name}.h5 is not in {folder / 'data'}: "
                    "copy it there or remove it from the list."
                )
        if absent and not any(volumes.values()):
            raise UserError(next(iter(absent.values())))
        cases = []
        for identifier, numbered in volumes.items():
            numbered.sort()
            order = [number for number, _ in numbered]
            check = functools.partial(_check, absent.get(identifier), identifier, order, folder)
            cases.append(
                array_case(
                    folder, identifier, patient_of(identifier, options.patient_pattern), part,
                    tuple(path for _, path in numbered), HDF5, check,
                )
            )  # fmt: skip
        return cases


def _check(absent: str | None, identifier: str, numbers: Sequence[int], folder: Path) -> None:
    """Check that all files of a case exist (``absent`` says which does not), without a gap."""
    if absent is not None:
        raise UserError(absent)
    check_numbers(identifier, numbers, folder)


def listed_names(path: Path) -> list[str]:
    """The names in a list, in order.

    Raises:
        UserError: for an unreadable or empty list, or a duplicate name.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise UserError(f"{path} cannot be read as text: copy it again.") from None
    names = [line.strip().removesuffix(".h5") for line in lines if line.strip()]
    if not names:
        raise UserError(f"{path} is empty: copy it again.")
    if len(set(names)) < len(names):
        seen: set[str] = set()
        twice = next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise UserError(f"{path} names {twice} twice: remove one of the lines.")
    return names


def _slices_of(name: str, files: dict[str, Path]) -> list[tuple[int, Path]]:
    found = ((SLICE.match(stem), path) for stem, path in files.items() if stem.startswith(name))
    return [(int(m.group(2)), path) for m, path in found if m and m.group(1) == name]


def check_numbers(identifier: str, numbers: Sequence[int], folder: Path) -> None:
    """Check that the sorted numbers of a case's slices have no gap.

    Raises:
        UserError: for the first missing number.
    """
    expected = range(numbers[0], numbers[0] + len(numbers))
    if list(numbers) != list(expected):
        gap = next(number for number in expected if number not in numbers)
        raise UserError(
            f"{folder}: slice {gap} of {identifier} is missing: copy it and add it to the list."
        )
