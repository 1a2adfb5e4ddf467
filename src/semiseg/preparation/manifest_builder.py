"""Building of the manifest from the records of all cases: channels, classes, sizes and notes."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from semiseg.data.fingerprint import summarise
from semiseg.data.image_ranges import ImageRanges, ranges_of
from semiseg.data.manifest import PARTS, Case, Decision, Manifest, Split
from semiseg.data.task import IGNORE_INDEX, Task
from semiseg.datasets.base import Naming, Scan, SourceCase
from semiseg.datasets.naming import notes_on_ignored
from semiseg.errors import UserError
from semiseg.formats.mask_values import hexadecimal
from semiseg.formats.nifti import orientation
from semiseg.formats.remarks import SENTENCES, STORED_POLARITY, notes_on_files
from semiseg.preparation.auto_config import decide, decide_intensity
from semiseg.preparation.label_agreement import check_agreement
from semiseg.preparation.label_maps import SIDE, all_alike
from semiseg.preparation.records import Record, unpacked
from semiseg.text import listed, plural

MANY_OBJECTS = 6  # codes of a label; classes are usually fewer, and the same in all images


class ManifestBuilder:
    """Collects the records of cases, which must be added in the order of the source."""

    def __init__(
        self,
        scan: Scan,
        spacing: tuple[float, float, float] | None,
        why: str = "",
        naming: Naming = Naming(),  # noqa: B008 - frozen
    ) -> None:
        """Set the options of all cases.

        Args:
            scan: the content of the source.
            spacing: replaces that of the files.
            why: reason for the intensity scaling.
            naming: the user's definition of the values in labels.
        """
        self.naming = naming
        self.scan = scan
        self.spacing = spacing
        self.why = why
        self.cases: list[Case] = []
        self.records: list[Record] = []
        self.voxels: NDArray[np.int64] = np.zeros(256, np.int64)
        self.channels: int | None = None
        self.remarks: dict[str, list[str]] = {}
        self._highest = (0, "")
        self._unnamed: set[int] = set()
        self._nameless: list[str] = []

    def add(self, case: SourceCase, record: Record) -> None:
        """Add a case and check that it is consistent with the others.

        Raises:
            UserError: for other channels, a class code without a name, or masks of another encoding.
        """
        channels = record.shape[1]
        if self.channels is not None and channels != self.channels:
            raise UserError(
                f"{case.source} has {channels} channels but the other images have "
                f"{self.channels}: leave it out or convert it."
            )
        self.channels = channels
        if record.voxels is not None:
            for code, count in record.voxels.items():
                self.voxels[code] += count
            self._check_codes(case, max(code for code in record.voxels if code != IGNORE_INDEX))
        self._unnamed.update(record.unnamed)
        if record.unnamed and not (record.voxels or {}).keys() - {0, IGNORE_INDEX}:
            self._nameless.append(case.source)
        new = record.remarks.keys() - self.remarks.keys()
        for word, file in record.remarks.items():
            # a format knows only the file's name, which may be the same in many folders
            name = case.source if word in SENTENCES and word != STORED_POLARITY else file
            self.remarks.setdefault(word, []).append(name)
        if new:
            self.scan.afterwards(self.remarks)
        # the record of a reduced picture has the spacing after reduction; --spacing is that of the file
        keep = self.scan.kind == "pictures" and record.spacing is not None
        self.cases.append(record.case(case, None if keep else self.spacing))
        self.records.append(record)

    def _check_codes(self, case: SourceCase, highest: int) -> None:
        classes = self.scan.classes
        if classes is not None and highest >= len(classes):
            raise UserError(
                f"The label of {case.source} holds class code {highest}, but there are only "
                f"{len(classes)} classes ({', '.join(classes)}): "
                "correct it or name all codes with --classes, for example 3=liver,7=tumour."
            )
        self._highest = max(self._highest, (highest, case.source))

    def classes(self) -> tuple[str, ...]:
        """The named classes, or one per class code in the labels.

        Raises:
            UserError: if the labels have no foreground or skip a code.
        """
        highest, where = self._highest
        if highest == 0:
            every = "every pixel" if self.scan.kind == "pictures" else "every voxel"
            raise UserError(
                f"The labels have no foreground ({every} is background, or ignored with the value "
                "255): if 255 is a class, name it with --classes 255=NAME."
                if self.voxels[IGNORE_INDEX]
                else f"The labels have no foreground ({every} is background): check their values."
            )
        if self.scan.classes is not None:
            return self.scan.classes
        absent = [code for code in range(highest) if self.voxels[code] == 0 and code > 0]
        if absent:
            raise UserError(
                f"The label of {where} holds class code {highest}, but code {absent[0]} does not "
                f"occur in any label: name the codes, for example --classes {highest}=NAME, or number "
                "them 1, 2, 3, ..."
            )
        if highest == 1 and self.scan.kind == "pictures":
            return ("background", "foreground")
        return ("background", *(f"class {code}" for code in range(1, highest + 1)))

    def manifest(self, layout: str, split: Split) -> Manifest:
        """The manifest of the data set.

        Raises:
            UserError: if the labels have no foreground or skip a code.
        """
        shapes = np.array([(c.shape[0], *c.shape[2:]) for c in self.cases])
        spacings = [case.spacing for case in self.cases if case.spacing is not None]
        median = tuple(int(value) for value in np.median(shapes, axis=0))
        middle = tuple(float(f"{s:.6g}") for s in np.median(spacings, axis=0)) if spacings else None
        if self.scan.classes is None:
            labels = [
                (case.source, record.voxels.keys())
                for case, record in zip(self.cases, self.records, strict=True)
                if record.voxels is not None
            ]
            certain = self.naming.certain or self.naming.empty_is_unlabelled
            check_agreement(labels, certain or self.scan.ignore_value is not None)
        classes = self.classes()
        found = summarise(
            [record.measures for record in self.records],
            [record.voxels for record in self.records],
            [(c.shape[0], *c.shape[2:]) for c in self.cases],
            [case.spacing for case in self.cases],
            len(classes),
            [case.patient in split.train for case in self.cases],
        )
        intensity, why = self.scan.intensity, self.why
        cases = self.cases
        if self.scan.by_data:
            intensity, why = decide_intensity(intensity, found)
            if intensity.kind == "window":
                bounds = {"bounds": (intensity.low, intensity.high)}
                cases = [
                    case.model_copy(update={**bounds, "window": _window(record)})
                    for case, record in zip(cases, self.records, strict=True)
                ]
        task = Task(
            name=self.scan.name,
            kind=self.scan.kind,
            channels=self.channels or 1,
            classes=classes,
            intensity=intensity,
            median_shape=(median[0], median[1], median[2]),
            spacing=None if middle is None else (middle[0], middle[1], middle[2]),
            colours=self._colours(classes),
            label_values=self._label_values(len(classes)),
            label_colours=self._label_colours(len(classes)),
        )
        notes = (
            *self.scan.notes,
            *notes_on_files(self.remarks),
            *self.scan.afterwards(self.remarks),
            *self._notes(classes, split),
        )
        chosen = decide(task, found)
        scaling = Decision(option="intensity", value=intensity.words, reason=why)
        return Manifest(
            task=task, layout=layout, split=split, cases=tuple(cases), notes=notes,
            fingerprint=found, training_images=self._ranges(split), decisions=(scaling, *chosen),
        )  # fmt: skip

    def _ranges(self, split: Split) -> ImageRanges | None:
        """The ranges of the images of the training part."""
        train = set(split.train)
        own = [
            (record.measures, (case.shape[0], *case.shape[2:]), case.spacing)
            for case, record in zip(self.cases, self.records, strict=True)
            if case.patient in train
        ]
        measures, shapes, spacings = zip(*own, strict=True) if own else ((), (), ())
        return ranges_of(measures, shapes, spacings)

    def _object_numbers(self) -> list[int]:
        """The highest code of each label, if all labels look like numbered objects; otherwise empty."""
        highest = []
        for record in self.records:
            codes = sorted((record.voxels or {}).keys() - {0, IGNORE_INDEX})
            if codes and codes != list(range(1, len(codes) + 1)):
                return []
            highest += codes[-1:]
        many = max(highest, default=0) >= MANY_OBJECTS and len(set(highest)) >= 3
        return highest if many else []

    def _label_values(self, classes: int) -> tuple[int, ...] | None:
        """The value of each class in the source's labels (the smallest of several), if they differ."""
        found = dict[int, int]()
        for value, code in sorted((self.scan.codes or {}).items()):
            if code:
                found.setdefault(code, value)
        values = (0, *(found.get(code, -1) for code in range(1, classes)))
        own = min(values) < 0 or max(values) > IGNORE_INDEX or values == tuple(range(classes))
        return None if own else values

    def _label_colours(self, classes: int) -> tuple[str, ...] | None:
        """The colour of each class in coloured labels."""
        found = dict[int, str]()
        for colour, code in sorted((self.scan.label_colours or {}).items()):
            found.setdefault(code, hexadecimal(colour))
        colours = (found.get(0, "#000000"), *(found.get(code, "") for code in range(1, classes)))
        return colours if found and all(colours) and len(set(colours)) == classes else None

    def _colours(self, classes: tuple[str, ...]) -> dict[str, str]:
        """Class -> colour in the source; the first colour if a class has several codes."""
        table, found = self.scan.codes, dict[str, str]()
        for source, colour in sorted(self.scan.colours.items()):
            code = source if table is None else table.get(source, 0)
            if 0 < code < len(classes):
                found.setdefault(classes[code], colour)
        return found

    def _notes(self, classes: tuple[str, ...], split: Split) -> list[str]:
        notes = []
        if self._unnamed:
            words = ", ".join(str(code) for code in sorted(self._unnamed))
            if self.scan.every_code:
                raise UserError(
                    f"Labels contain the code {words}, which {self.scan.name} of this form does not define: "
                    "name all codes with --classes, for example --classes 1=NAME,2=NAME,3=NAME."
                )
            notes.append(f"codes without a class count as background: {words}.")
        if self._nameless:
            named = listed(self._nameless, 3)
            notes.append(
                f"{plural(len(self._nameless), 'label')} in which no code belongs to a class ({named}): they "
                "count as background. If they are not empty, correct the labels or --classes."
            )
        unlabelled = sum(len(case.unlabelled_slices) for case in self.cases)
        notes += notes_on_ignored(self.voxels, unlabelled, self.scan.kind == "pictures")
        for code, name in enumerate(classes):
            if self.voxels[code] == 0:
                notes.append(f"class '{name}' (code {code}) occurs in no label.")
        orientations = Counter(orientation(np.array(c.affine)) for c in self.cases if c.affine)
        if len(orientations) > 1:
            words = ", ".join(f"{name} {n}" for name, n in orientations.most_common())
            notes.append(
                f"the images have different orientations ({words}): this is usual for oblique scans; "
                "otherwise check the orientations in the files."
            )
        highest = self._object_numbers() if self.scan.classes is None else []
        if highest:
            notes.append(
                f"the highest label value varies between images ({min(highest)} to {max(highest)}), as if "
                "objects of one class were numbered: if so, save all objects as 1."
            )
        axes = Counter(case.slice_axis for case in self.cases)
        if len(axes) > 1:
            words = ", ".join(f"axis {axis} in {n}" for axis, n in sorted(axes.items()))
            notes.append(f"the slice axis differs between files: {words}.")
        maps = [unpacked(record.label_map) for record in self.records if record.label_map]
        if all_alike([one.reshape(SIDE, SIDE) for one in maps]):
            notes.append(
                f"the labels of all {len(maps):,} labelled images mark the same region, as fields of view "
                "do, not structures: check that they are the right files (--labels FOLDER chooses others)."
            )
        outside = {case.patient for case in self.cases}.difference(*(split.part(p) for p in PARTS))
        if outside:
            notes.append(
                f"unused because in no part of the split: {plural(len(outside), 'patient')}."
            )
        return notes


def _window(record: Record) -> tuple[float, float] | None:
    """0.5 and 99.5 percent of the intensities of a case's classes."""
    if record.measures.foreground is None:
        return None
    low, *_, high = record.measures.foreground[0].percentiles
    return low, high
