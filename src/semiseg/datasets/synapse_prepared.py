"""Synapse as preprocessed for TransUNet: slices in ``train_npz``, test volumes in ``test_vol_h5``.

``train_npz/case0005_slice000.npz`` and ``test_vol_h5/case0001.npy.h5`` contain the arrays ``image``
(clipped to [-125, 275] HU and scaled to [0, 1]) and ``label`` (the papers' eight organs as 1 to 8),
without spacing. The lists ``train.txt`` and ``test_vol.txt`` may be in the folder or near it.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from semiseg.data.manifest import Part
from semiseg.data.task import Intensity
from semiseg.data.volume import Volume
from semiseg.datasets.acdc_hdf5 import check_numbers, listed_names
from semiseg.datasets.base import Options, Scan, SourceCase, split_of_parts, with_background
from semiseg.datasets.btcv import ORGANS
from semiseg.errors import UserError
from semiseg.formats.arrays import stack
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

        Raises:
            UserError: for a listed file or a slice that is missing.
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
            check_numbers(case, [number for number, _ in files], folder)
            paths = tuple(path for _, path in files)
            read = functools.partial(_read_slices, paths, case)
            cases.append(_case(folder, case, paths, NPZ.has_label(paths[0]), "train", read))
        for case, path in volumes.items():
            read = functools.partial(_read_volume, path, case)
            cases.append(_case(folder, case, (path,), HDF5.has_label(path), "test", read))
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


def _case(
    folder: Path, name: str, files: tuple[Path, ...], labelled: bool, part: Part,
    read: "functools.partial[Volume]",
) -> SourceCase:  # fmt: skip
    return SourceCase(name, name, labelled, part, str(files[0].relative_to(folder)), files, read)


def _read_slices(paths: Sequence[Path], case: str) -> Volume:
    return stack([NPZ.read_slices(path) for path in paths], paths, case)


def _read_volume(path: Path, case: str) -> Volume:
    return stack([HDF5.read_slices(path)], [path], case)


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
    """The files that a list names (all if there is no list), and notes about others."""
    path = _list(folder, name)
    if path is None or not files:
        return files, []
    names = [line.removesuffix(".npz").removesuffix(".npy") for line in listed_names(path)]
    missing = next((name for name in names if name not in files), None)
    if missing is not None:
        place = next(iter(files.values())).parent
        raise UserError(
            f"{path} names {missing}, but it is not in {place}: copy it there or remove it from "
            "the list."
        )
    others = len(files) - len(names)
    notes = [f"{others:,} files that {path} does not name are left out."] if others else []
    return {name: files[name] for name in names}, notes
