"""Labels of DICOM series: DICOM-SEG, or files of other formats named like the folder of a series."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from semiseg.datasets.base import Options, with_background
from semiseg.datasets.roles import role_of
from semiseg.datasets.source_files import files_of
from semiseg.datasets.structures import notes_on_absent
from semiseg.errors import UserError
from semiseg.formats import is_volume, stem_of
from semiseg.formats.dicom import Found, Series
from semiseg.formats.dicom_match import frames_of, match_segmentations
from semiseg.formats.dicom_segments import Segmentation, is_drawn_by
from semiseg.text import listed, plural


@dataclasses.dataclass(frozen=True)
class Labels:
    """The labels of all series by their UID; one of the two kinds is empty.

    Attributes:
        drawn: DICOM-SEG of each series.
        files: label file of each series.
        classes: names of the classes, background first; None if they must be derived from the files.
        codes: name of a segment -> class code.
        notes: labels that are left out.
    """

    drawn: Mapping[str, tuple[Segmentation, ...]]
    files: Mapping[str, Path]
    classes: tuple[str, ...] | None
    codes: Mapping[str, int]
    notes: tuple[str, ...]

    def colours(self) -> dict[int, str]:
        """Class code -> ``#rrggbb``, as the DICOM-SEG recommend."""
        return {
            self.codes[name]: colour
            for segmentations in self.drawn.values()
            for segmentation in segmentations
            for name, colour in segmentation.colours
            if name in self.codes
        }


def find_labels(folder: Path, found: Found, options: Options) -> Labels:
    """The labels of the series of a folder.

    Raises:
        UserError: for labels of both kinds, if no label file matches a series, or for a reader or
            classes that no DICOM-SEG has.
    """
    segmentations, notes = found.segmentations, list[str]()
    if options.reader is not None:
        segmentations, notes = _of_reader(segmentations, options.reader)
    matched = match_segmentations(segmentations, found.series)
    files, unused = _label_files(folder, found.series)
    if files and matched.labels:
        raise UserError(
            f"{folder} has labels both as DICOM-SEG and as other files: keep one of the two."
        )
    if unused and not (files or matched.labels):
        raise UserError(
            f"{folder}: none of {unused:,} label files matches a series: name each like the folder of "
            "its series and put it next to that folder, or into a folder 'labels'."
        )
    notes += matched.notes()
    notes += _notes_on_slices(matched.labels, found.series)
    if unused:
        notes.append(
            f"left out: files of other formats that belong to none of the series ({unused:,})."
        )
    names, codes, undrawn = _classes(matched.labels, options)
    if undrawn:
        notes.append(
            f"{plural(len(undrawn), 'segment')} of the DICOM-SEG that no image shows are not classes: "
            f"{listed(undrawn)}."
        )
    notes += notes_on_absent([_drawn_classes(own, codes) for own in matched.labels.values()])
    return Labels(matched.labels, files, names, codes, tuple(notes))


def _drawn_classes(segmentations: Sequence[Segmentation], codes: Mapping[str, int]) -> set[str]:
    """The classes of a series' segments, also of those that its files declare and leave empty."""
    names = {code: name for name, code in codes.items()}
    declared = {
        name.lower()
        for one in segmentations
        for name in (*one.undrawn, *(name for _, name in one.segments))
    }
    return {names[code] for name, code in codes.items() if name.lower() in declared}


def _notes_on_slices(
    drawn: Mapping[str, Sequence[Segmentation]], series: Sequence[Series]
) -> list[str]:
    """Notes on frames of DICOM-SEG where their series has no slice."""
    notes = []
    for one in series:
        frames = [frames_of(part, one) for part in drawn.get(one.uid, ())]
        beside = {
            f"{position:.4g} mm": position
            for part in frames
            if part is not None and part.fit  # else the label is refused when it is read
            for position in part.millimetres(one)
        }
        if not beside:
            continue
        what = (
            "left out, since there is no image: copy the missing slices"
            if one.stack.even
            else "used where the series is resampled, and left out elsewhere"
        )
        notes.append(
            f"{one.name}: its DICOM-SEG marks {plural(len(beside), 'slice')} that the series does not "
            f"have (at {listed(sorted(beside, key=lambda name: beside[name]))}); {what}."
        )
    return notes


def _of_reader(
    segmentations: Sequence[Segmentation], reader: str
) -> tuple[tuple[Segmentation, ...], list[str]]:
    """The segmentations of one reader, and a note about the others."""
    chosen = tuple(one for one in segmentations if is_drawn_by(one, reader))
    if not chosen:
        raise UserError(
            f"--reader '{reader}' has drawn none of {len(segmentations):,} DICOM-SEG: give the name in "
            "their ContentCreatorName or OperatorsName, or omit the option."
        )
    others = len(segmentations) - len(chosen)
    return chosen, [f"left out: DICOM-SEG by other readers ({others:,})."] if others else []


def _classes(
    drawn: Mapping[str, Sequence[Segmentation]], options: Options
) -> tuple[tuple[str, ...] | None, dict[str, int], list[str]]:
    """Class names, background first; the class code of each segment's name; names without a voxel.

    Names that differ only in case are one class.
    """
    of_series = [one for segmentations in drawn.values() for one in segmentations]
    segments = sorted({segment for one in of_series for segment in one.segments})
    chosen = with_background(options.classes) if options.classes else None
    found: dict[str, str] = {}
    for _, name in segments:
        found.setdefault(name.lower(), name)
    undrawn = {name.lower(): name for one in of_series for name in one.undrawn}
    names = chosen or (with_background(tuple(found.values())) if found else None)
    left = [name for key, name in undrawn.items() if key not in found]
    if not segments or names is None:
        return names, {}, left
    lower = {name.lower(): code for code, name in enumerate(names)}
    codes = {name: lower[name.lower()] for _, name in segments if name.lower() in lower}
    if not codes:
        raise UserError(
            f"--classes {','.join(names[1:])} matches no segment of the DICOM-SEG files "
            f"({', '.join(found.values())}): use these names."
        )
    return names, codes, left


def _label_files(folder: Path, series: Sequence[Series]) -> tuple[dict[str, Path], int]:
    """UID of a series -> its label, and the number of other volumes.

    A label is in or next to the folder of its series, or in a folder of labels.
    """
    named: dict[str, list[Path]] = {}
    for path in files_of(folder, is_volume):
        named.setdefault(stem_of(path), []).append(path)
    folders = Counter(one.folder for one in series)
    same_name = Counter(place.name for place in folders)
    labels: dict[str, Path] = {}
    for one in series:
        place = one.folder
        candidates = named.get(place.name, [])
        near = [path for path in candidates if path.parent in (place, place.parent)]
        if not near and same_name[place.name] == 1:
            near = [path for path in candidates if role_of(path.parent.name)[0] == "label"]
        if not near:
            continue
        if len(near) > 1 or folders[place] > 1:
            several = "label files" if len(near) > 1 else "series in one folder for a label file"
            raise UserError(
                f"{one.name} has several {several}: keep one label file and one folder per series."
            )
        labels[one.uid] = near[0]
    return labels, sum(map(len, named.values())) - len(set(labels.values()))
