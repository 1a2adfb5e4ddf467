"""Synapse as preprocessed for TransUNet: slices in ``train_npz``, test volumes in ``test_vol_h5``.

``train_npz/case0005_slice000.npz`` and ``test_vol_h5/case0001.npy.h5`` contain the arrays ``image``
(clipped to [-125, 275] HU and scaled to [0, 1]) and ``label`` (the papers' eight organs as 1 to 8),
without spacing. The lists ``train.txt`` and ``test_vol.txt`` may be in the folder or near it.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from semiseg.data.task import Intensity
from semiseg.datasets.acdc_hdf5 import check_numbers, listed_names
from semiseg.datasets.array_cases import array_case
from semiseg.datasets.base import Options, Scan, split_of_parts, with_background
from semiseg.datasets.btcv import ORGANS
from semiseg.errors import UserError
from semiseg.files import check_file
from semiseg.formats.hdf5 import HDF5
from semiseg.formats.npz import NPZ

SLICE = re.compile(r"(case\d+)_slice_?(\d+)$")
VOLUME = ".npy.h5"
LISTS = "lists_Synapse"


class SynapsePrepared:
    """Slices in .npz and volumes in HDF5."""

    name = "synapse-prepared"
    summary = (
        "Synapse/BTCV as preprocessed for TransUNet: train_npz/case0005_slice000.npz, "
        "test_vol_h5/case0001.npy.h5"
    )
    where = "github.com/Beckschen/TransUNet; the terms of Synapse apply"

    def detect(self, folder: Path) -> str | None:
        """Look for slices in .npz, or volumes in .npy.h5."""
        slices, volumes = _slices(folder), _volumes(folder)
        first = next(iter(slices.values()), None) or next(iter(volumes.values()), None)
        if first is None:
            return None
        lists = [name for name in ("train.txt", "test_vol.txt") if _list(folder, name)]
        return f"it holds {first.relative_to(folder)}; lists: {', '.join(lists) or 'none'}"

    def scan(self, folder: Path, options: Options) -> Scan:
        """List training volumes, stacked from slices, and test volumes; lists select the files.

        A case with a listed slice that is missing, or a gap, raises it when it is read.

        Raises:
            UserError: for a list that cannot be read, or of which no file exists.
        """
        slices, unnamed = _listed(_slices(folder), folder, "train.txt")
        volumes, unnamed_volumes = _listed(_volumes(folder), folder, "test_vol.txt")
        numbered: dict[str, list[tuple[int, Path]]] = {}
        for name, path in slices.items():
            found = SLICE.match(name)
            if found:
                numbered.setdefault(found.group(1), []).append((int(found.group(2)), path))
        cases = []
        for case, files in numbered.items():
            files.sort()
            paths = tuple(path for _, path in files)
            check = functools.partial(_check, paths, case, [n for n, _ in files], folder)
            cases.append(array_case(folder, case, case, "train", paths, NPZ, check))
        for case, path in volumes.items():
            check = functools.partial(_check, (path,), case, (), folder)
            cases.append(array_case(folder, case, case, "test", (path,), HDF5, check))
        split, notes = split_of_parts(cases, "the set's training slices and test volumes")
        return Scan(
            name="BTCV",
            cases=tuple(cases),
            classes=with_background(options.classes or tuple(ORGANS)),
            kind="volumes",
            intensity=Intensity(kind="window", low=0.0, high=1.0),  # already scaled
            split=split,
            notes=(*notes, *unnamed, *unnamed_volumes),
        )


def _check(files: Sequence[Path], case: str, numbers: Sequence[int], folder: Path) -> None:
    """Check that all files exist, and that the numbers of slices have no gap."""
    for path in files:
        check_file(path, "copy it, or remove it from the list")
    if numbers:
        check_numbers(case, numbers, folder)


def _slices(folder: Path) -> dict[str, Path]:
    """Name -> slice."""
    for place in (folder / "train_npz", folder):
        found = {path.stem: path for path in sorted(place.glob("case*_slice*.npz"))}
        if found := {name: path for name, path in found.items() if SLICE.match(name)}:
            return found
    return {}


def _volumes(folder: Path) -> dict[str, Path]:
    """Case -> volume."""
    for place in (folder / "test_vol_h5", folder):
        found = sorted(place.glob(f"case[0-9]*{VOLUME}"))
        if found:
            return {path.name.removesuffix(VOLUME): path for path in found}
    return {}


def _list(folder: Path, name: str) -> Path | None:
    """The list ``name``, in the folder or where TransUNet's code keeps it."""
    within = [folder / place for place in ("", "lists", LISTS, f"lists/{LISTS}")]
    around = [
        up / place for up in folder.resolve().parents[:2] for place in (LISTS, f"lists/{LISTS}")
    ]
    return next((p / name for p in (*within, *around) if (p / name).is_file()), None)


def _listed(
    files: Mapping[str, Path], folder: Path, name: str
) -> tuple[Mapping[str, Path], list[str]]:
    """The files that a list names (all if there is no list), and notes about others.

    Files that a list names need not exist.
    """
    path = _list(folder, name)
    if path is None or not files:
        return files, []
    names = [line.removesuffix(".npz").removesuffix(".npy") for line in listed_names(path)]
    known = next(iter(files.values()))
    ending = VOLUME if known.name.endswith(VOLUME) else known.suffix
    paths = {name: files.get(name, known.with_name(name + ending)) for name in names}
    if not any(name in files for name in names):
        raise UserError(
            f"{path} names {names[0]}, but it is not in {known.parent}: copy it there or remove it from "
            "the list."
        )
    others = len(files) - sum(name in files for name in names)
    notes = [f"{others:,} files that {path} does not name are left out."] if others else []
    return paths, notes
