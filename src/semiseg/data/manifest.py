"""Prepared data sets on disk: a readable manifest and memory-mapped arrays.

::

    DATA/manifest.json          task, cases with geometry and statistics, split
    DATA/images/CASE.npy        [D, C, H, W]
    DATA/labels/CASE.npy        [D, H, W] uint8, only for labelled cases; 255: ignored
    DATA/records.jsonl          source files and options of each case (`semiseg.preparation.records`)
"""

import copy
import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from semiseg.data.arrays import open_array
from semiseg.data.fingerprint import Fingerprint
from semiseg.data.identifiers import flaw_of
from semiseg.data.identity import identity_of
from semiseg.data.image_ranges import ImageRanges
from semiseg.data.task import (
    IGNORE_INDEX,
    Bounds,
    Finite,
    Intensity,
    Side,
    Step,
    Task,
    window_between,
)
from semiseg.digests import LENGTH
from semiseg.errors import UserError
from semiseg.files import atomic_write
from semiseg.stored import parse_stored, text_of

Part = Literal["train", "validation", "test"]
REMEDY = "prepare the data again"
Row = tuple[Finite, Finite, Finite, Finite]
PARTS: tuple[Part, ...] = ("train", "validation", "test")


class Case(BaseModel):
    """One image of a patient. Shapes are [D, C, H, W]; spacing is (slice, row, column) in mm."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    identifier: str
    patient: str
    shape: tuple[Side, Side, Side, Side]
    labelled: bool
    bounds: Bounds
    spacing: tuple[Step, Step, Step] | None = None
    affine: tuple[Row, Row, Row, Row] | None = None
    slice_axis: Annotated[int, Field(ge=0, le=2)] = 0
    source: str = ""
    unlabelled_slices: tuple[int, ...] = ()
    """Slices of a labelled case whose label is all ``IGNORE_INDEX``. They train as unlabelled."""
    outlined: bool = False
    """Whether the mask of a picture was thin closed lines, which the reduction of the picture breaks."""
    window: tuple[Finite, Finite] | None = None
    """0.5 and 99.5 percent of the intensities of the labelled classes, only in a CT whose window
    follows the labels of each training."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if any(not 0 <= index < self.shape[0] for index in self.unlabelled_slices):
            raise ValueError(f"unlabelled_slices of {self.identifier} must be 0 to D - 1")
        pairs = np.array(self.bounds, np.float64).reshape(-1, 2)
        if len(pairs) not in (1, self.shape[1]) or not np.isfinite(pairs).all():
            raise ValueError(f"bounds of {self.identifier} must be finite pairs, one per channel")
        return self

    @property
    def slices(self) -> int:
        """D, the number of slices."""
        return self.shape[0]

    @property
    def labelled_slices(self) -> tuple[int, ...]:
        """The slices of a labelled case that are at least partly labelled."""
        unlabelled = set(self.unlabelled_slices)
        return tuple(index for index in range(self.slices) if index not in unlabelled)


class Split(BaseModel):
    """Patients of each part. ``labelled_order``: training patients in the order of labelling.

    Without an order, labelled patients are drawn with a seed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: tuple[str, ...]
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    labelled_order: tuple[str, ...] | None = None
    origin: str = ""

    def part(self, name: Part) -> tuple[str, ...]:
        """The patients of one part."""
        patients: tuple[str, ...] = getattr(self, name)
        return patients


class Decision(BaseModel):
    """The default of an option for this data set, and the reason; presets and ``--set`` override it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    option: str
    value: bool | int | float | str | list[bool | int | float | str] | None
    reason: str

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.option == "data.size" and not (type(self.value) is int and self.value > 0):
            raise ValueError(f"the value of data.size must be a whole number, got {self.value!r}")
        return self


class Manifest(BaseModel):
    """The description of a prepared data set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[2] = 2
    task: Task
    layout: str
    split: Split
    cases: tuple[Case, ...]
    notes: tuple[str, ...] = ()
    fingerprint: Fingerprint | None = None
    training_images: ImageRanges | None = None
    groups: tuple[tuple[str, ...], ...] = ()
    """Patients that belong together: with nearly identical images, or names like slices of one patient."""
    decisions: tuple[Decision, ...] = ()
    content: Annotated[str, Field(pattern=rf"^([0-9a-f]{{{LENGTH}}})?$")] = ""
    """Digest of the source files and of the options that they were read with; empty if unknown."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        seen: set[str] = set()
        for case in self.cases:
            if case.identifier in seen:
                raise ValueError(f"the case {case.identifier} is named twice")
            seen.add(case.identifier)
            if case.shape[1] != self.task.channels:
                raise ValueError(
                    f"{case.identifier} has {case.shape[1]} channels, but the task {self.task.channels}"
                )
        part_of: dict[str, str] = {}
        for part in PARTS:
            for patient in self.split.part(part):
                if part_of.setdefault(patient, part) != part:
                    raise ValueError(f"{patient} is in {part_of[patient]} and in {part}")
        return self

    def __repr__(self) -> str:
        labelled = sum(case.labelled for case in self.cases)
        patients = len({case.patient for case in self.cases})
        return (
            f"Manifest(task={self.task.name!r}, layout={self.layout!r}, classes={self.task.classes}, "
            f"patients={patients}, cases={len(self.cases)}, labelled={labelled})"
        )


class PreparedData:
    """A prepared data set, opened for reading. Each call maps its array into memory."""

    def __init__(self, folder: Path | str) -> None:
        """Open ``folder``.

        Raises:
            UserError: if there is no readable manifest.
        """
        self.folder = Path(folder)
        # path, type, shape and offset of arrays whose header has been read
        self._places: dict[tuple[str, str], tuple[str, np.dtype[Any], tuple[int, ...], int]] = {}
        path = self.folder / "manifest.json"
        if not self.folder.exists():
            raise UserError(
                f"{self.folder} does not exist: give a folder that 'semiseg prepare' wrote."
            )
        if not path.exists():
            raise UserError(
                f"{self.folder} is not a prepared data set (it has no manifest.json): "
                f"make one with 'semiseg prepare {self.folder} -o DATA'."
            )
        text = text_of(path, REMEDY)
        if _is_older(text):
            raise UserError(f"{path} was written by an older version of semiseg: {REMEDY}.")
        self.manifest = self._stored = parse_stored(text, path, Manifest, REMEDY)
        for case in self.manifest.cases:
            flaw = flaw_of(case.identifier)
            if flaw is not None:
                raise UserError(
                    f"{path} names a case '{case.identifier}', which {flaw}: semiseg did not write this "
                    "file, so prepare the data again."
                )

    @property
    def task(self) -> Task:
        """The task description."""
        return self.manifest.task

    @functools.cached_property
    def identity(self) -> dict[str, str]:
        """Digests of what decides results, as stored, whatever window `with_intensity` has set."""
        return identity_of(self._stored)

    @functools.cached_property
    def cases(self) -> dict[str, Case]:
        """Cases by identifier, in order of preparation."""
        return {case.identifier: case for case in self.manifest.cases}

    def of_patients(self, patients: tuple[str, ...], labelled: bool | None = None) -> list[Case]:
        """The cases of ``patients`` in that order; ``labelled`` selects (un)labelled ones."""
        by_patient: dict[str, list[Case]] = {}
        for case in self.manifest.cases:
            by_patient.setdefault(case.patient, []).append(case)
        found = [case for patient in patients for case in by_patient.get(patient, [])]
        return [case for case in found if labelled is None or case.labelled is labelled]

    def with_intensity(self, intensity: Intensity) -> "PreparedData":
        """The same data, scaled by the window ``intensity``."""
        task = self.task.model_copy(update={"intensity": intensity})
        bounds = {"bounds": (intensity.low, intensity.high)}
        cases = tuple(case.model_copy(update=bounds) for case in self.manifest.cases)
        view = copy.copy(self)
        vars(view).pop("cases", None)
        view.manifest = self.manifest.model_copy(update={"task": task, "cases": cases})
        return view

    def bounds_of(self, case: Case, intensity: Intensity) -> Bounds | None:
        """The bounds of a case for a network whose input is scaled by ``intensity``.

        None if these data are scaled in another way: the bounds are then measured on the image.
        """
        if intensity.kind == "window":
            return intensity.low, intensity.high
        return case.bounds if intensity == self.task.intensity else None

    def image(self, identifier: str) -> NDArray[np.generic]:
        """[D, C, H, W], as stored, memory-mapped."""
        return self._array("images", identifier)

    def label(self, identifier: str) -> NDArray[np.uint8]:
        """[D, H, W] class codes or ``IGNORE_INDEX``, memory-mapped."""
        return self._array("labels", identifier).view(np.uint8)

    def image_slice(self, identifier: str, index: int) -> NDArray[np.generic]:
        """[C, H, W] in memory; five times as fast as mapping the whole array.

        Raises:
            UserError: for an array that is missing or damaged, or has values that are not finite.
        """
        image = self._slice("images", identifier, index)
        self.check_finite(image, identifier)
        return image

    def label_slice(self, identifier: str, index: int) -> NDArray[np.uint8]:
        """[H, W] class codes in memory.

        Raises:
            UserError: for an array that is missing or damaged, or has a code without a class.
        """
        label = self._slice("labels", identifier, index).view(np.uint8)
        self.check_codes(label, identifier)
        return label

    def check_codes(self, label: NDArray[np.uint8], identifier: str) -> None:
        """Check that every value of a label is a class code or ``IGNORE_INDEX``.

        Raises:
            UserError: if one is not.
        """
        highest = int(label.max(initial=0, where=label != IGNORE_INDEX))
        count = len(self.task.classes)
        if highest >= count:
            raise UserError(
                f"{self.folder / 'labels' / identifier}.npy holds class code {highest}, but the task has "
                f"only {count} classes: prepare the data again."
            )

    def check_finite(self, image: NDArray[np.generic], identifier: str) -> None:
        """Check that every intensity is finite.

        Raises:
            UserError: if one is not.
        """
        if image.dtype.kind == "f" and not np.isfinite([image.min(), image.max()]).all():
            raise UserError(
                f"{self.folder / 'images' / identifier}.npy has intensities that are not finite: prepare the "
                "data again."
            )

    def _slice(self, kind: str, identifier: str, index: int) -> NDArray[np.generic]:
        known = self._places.get((kind, identifier))
        if known is None:
            mapped = self._array(kind, identifier)
            if not (isinstance(mapped, np.memmap) and mapped.flags.c_contiguous):
                return np.array(mapped[index])
            path = str(self.folder / kind / f"{identifier}.npy")
            known = self._places[kind, identifier] = path, mapped.dtype, mapped.shape, mapped.offset
        path, dtype, shape, offset = known
        if not 0 <= index < shape[0]:
            raise IndexError(f"{path} has {shape[0]} slices, not one at {index}")
        array: NDArray[np.generic] = np.empty(shape[1:], dtype)
        try:
            with open(
                path, "rb", buffering=0
            ) as file:  # reopened, because data sets have many files
                file.seek(offset + index * array.nbytes)
                if file.readinto(array.data) == array.nbytes:
                    return array
        except OSError:
            pass
        raise UserError(f"{path} is missing or damaged: prepare the data again.")

    def _array(self, kind: str, identifier: str) -> NDArray[np.generic]:
        path = self.folder / kind / f"{identifier}.npy"
        array: NDArray[np.generic] | None = open_array(path)
        if array is None:
            raise UserError(f"{path} is missing or damaged: prepare the data again.")
        depth, channels, height, width = self.cases[identifier].shape
        flat = kind == "labels"
        shape = (depth, height, width) if flat else (depth, channels, height, width)
        if array.shape != shape:
            raise UserError(
                f"{path} does not have the shape in the manifest: prepare the data again."
            )
        if flat and array.dtype.itemsize != 1:
            raise UserError(f"{path} does not contain class codes: prepare the data again.")
        return array


def window_of(cases: Sequence[Case]) -> Intensity | None:
    """The window of a CT by the labels of ``cases``: medians of their windows; None without any."""
    windows = [case.window for case in cases if case.window is not None]
    if not windows:
        return None
    low, high = np.median(windows, axis=0)
    return window_between(float(low), float(high))


def _is_older(text: str) -> bool:
    """Whether ``text`` is the manifest of an older version."""
    try:
        return bool(json.loads(text)["format"] == 1)
    except (ValueError, LookupError, TypeError, RecursionError):
        return False


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``manifest.json`` atomically."""
    text = json.dumps(manifest.model_dump(mode="json"), indent=1)
    with atomic_write(folder / "manifest.json") as partial:
        partial.write_text(text + "\n", encoding="utf-8")
