"""``semiseg evaluate PREDICTIONS REFERENCES``: score the masks in two folders."""

import collections
import contextlib
import dataclasses
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semiseg.console import Console
from semiseg.data.task import IGNORE_INDEX
from semiseg.datasets.base import Naming
from semiseg.datasets.naming import own_codes
from semiseg.datasets.patients import patients_in
from semiseg.datasets.uniting import united
from semiseg.errors import UserError
from semiseg.evaluation.classes import Classes, check_codes, codes_in, foreground
from semiseg.evaluation.pictures import score_picture
from semiseg.evaluation.protocols import (
    CaseScore,
    Missing,
    Protocol,
    check_missing,
    check_spacing,
    find_protocol,
    score_case,
)
from semiseg.evaluation.summary import Summary, summarise, write_scores
from semiseg.evaluation.table import table_lines
from semiseg.files import walk_files
from semiseg.formats import format_of, is_image, is_picture, stem_of, suffixes_of
from semiseg.formats.base import Mask
from semiseg.formats.grid import GRID_TOLERANCE, apart, steps_of
from semiseg.formats.mask_values import USUAL, MaskValues
from semiseg.formats.masks import read_picture_mask
from semiseg.locking import locked
from semiseg.text import listed, times

MASK_SUFFIXES = ("_gt", "_seg", ".seg", "_mask", "_label", "_pred")
NUMBERED = re.compile(r"[_-]\d+$")
Spacing = tuple[float, float, float]


def compare(
    predictions: Path | str,
    references: Path | str,
    *,
    classes: Sequence[str] | None = None,
    naming: Naming | None = None,
    protocol: str | Protocol = "strict",
    missing: Missing = "worst",
    hd95: str | None = None,
    spacing: Spacing | None = None,
    patient_pattern: str | None = None,
    out: Path | str | None = None,
    overwrite: bool = False,
    console: Console | None = None,
) -> Summary:
    """Score predicted masks against reference masks, paired by identifier.

    An identifier is the file's name without its suffix and without ``_gt``, ``_seg``, ``.seg``,
    ``_mask``, ``_label`` or ``_pred``. Folders are searched with their sub-folders; if files in several of
    them have the same name, their folders belong to the identifier. Several references of one class
    (``x_mask.png``, ``x_mask_1.png``) are united. A pair that cannot be scored is reported, skipped and
    listed in ``Summary.failed``. Files without a partner are listed in ``Summary.unpaired_predictions`` and
    ``unpaired_references``.

    Args:
        predictions: a folder, or one file.
        references: a folder, or one file. Two files are paired regardless of their names.
        classes: names by class code, background first; None: the codes that occur.
        naming: the classes of the references' codes or colours. Predictions contain the same, or the class
            codes 1, 2, ...
        protocol: a name or a protocol.
        missing: the rule for structures that the prediction lacks.
        hd95: a definition of HD95 that replaces the protocol's.
        spacing: (slice, row, column) in mm; None: the reference's own.
        patient_pattern: regular expression that finds the patient in an identifier (with ``_`` for ``/``),
            for the intervals; default: the rules of `prepare` for names.
        out: folder for ``cases.csv`` and ``summary.json``.
        overwrite: replace these two files.
        console: prints messages and progress; None: the terminal.

    Raises:
        UserError: if a path does not exist, if no pair is found or can be scored, if an option is
            invalid, or if the output exists.
    """
    console = console or Console()
    if isinstance(protocol, str):
        protocol = find_protocol(protocol, hd95)
    elif hd95 is not None:
        raise UserError("hd95 was given together with a Protocol: set the hd95 of the Protocol.")
    missing = check_missing(missing)
    check_spacing(spacing)
    if classes is not None:
        foreground(classes)
    out = None if out is None else Path(out)
    _check_out(out, overwrite)
    pairs, alone, unanswered = pair_files(Path(predictions), Path(references))
    for names, kind in ((alone, "prediction"), (unanswered, "reference")):
        if names:
            other = "reference" if kind == "prediction" else "prediction"
            console.warn(f"{len(names)} {kind}(s) without a {other}: {listed(names)}")
    if not pairs:
        raise UserError(
            f"No mask in {predictions} has a partner in {references}: give both files the same "
            f"name (the endings {', '.join(MASK_SUFFIXES)} are ignored)."
        )
    class_codes = _class_codes(
        [pair[0] for pair in pairs.values()], naming or Naming(), classes, console
    )
    scores: list[CaseScore] = []
    failed: dict[str, str] = {}
    empty: list[str] = []
    for case, (prediction, answers) in console.track(pairs.items(), "evaluate", len(pairs)):
        try:
            rows = score_files(
                prediction, answers, case, classes, protocol, missing, spacing, naming, class_codes
            )
        except UserError as error:
            failed[case] = str(error)
            console.warn(f"{case} skipped: {error}")
            continue
        scores += rows
        if not rows:
            empty.append(case)
    if not scores:
        reason = next(iter(failed.values()), "both masks of every pair are empty.")
        raise UserError(f"None of the {len(pairs)} pairs could be scored: {reason}")
    # Both masks are empty: the classes are known only after all other pairs were read.
    known = {row.code: row.name for row in scores}
    for case in empty:
        scores += score_files(*pairs[case], case, known, protocol, missing, spacing)
    summary = summarise(
        scores,
        protocol,
        missing,
        failed=failed,
        unpaired_predictions=alone,
        unpaired_references=unanswered,
        patients=_patients([row.case for row in scores], patient_pattern, pairs),
    )
    for line in table_lines(summary):
        console.info(line)
    if failed:
        console.warn(f"{len(failed)} of {len(pairs)} pairs could not be scored.")
    if not summary.complete:
        console.warn("some files are not included in the means, so the exit code is 1.")
    if out is not None:
        with locked(out, "evaluating"):
            _check_out(out, overwrite)  # another process may have used it since
            write_scores(out, summary)
        console.info(f"written: {out / 'cases.csv'}, {out / 'summary.json'}")
    return summary


def _patients(
    names: Sequence[str], pattern: str | None, pairs: Mapping[str, tuple[Path, tuple[Path, ...]]]
) -> dict[str, str]:
    """The patient of each identifier, so that an interval counts patients."""
    cases = list(dict.fromkeys(names))
    pictures = all(is_picture(pairs[case][1][0]) for case in cases)
    joined = [case.replace("/", "_") for case in cases]
    return dict(zip(cases, patients_in(joined, [""] * len(cases), pattern, pictures), strict=True))


def pair_files(
    predictions: Path, references: Path
) -> tuple[dict[str, tuple[Path, tuple[Path, ...]]], list[str], list[str]]:
    """Pair the masks by identifier.

    Returns:
        Identifier -> (prediction, references), then the predictions and the references without a partner.

    Raises:
        UserError: if a path does not exist or contains no masks, or if two files share an identifier.
    """
    if predictions.is_file() and references.is_file():
        return {identifier_of(references): (predictions, (references,))}, [], []
    files = [_files_in(predictions), _files_in(references)]
    nested = any(map(_repeats, files))
    found, wanted = (_by_identifier(own, nested) for own in files)
    answers = {name: [wanted[name]] for name in found.keys() & wanted.keys()}
    for name in sorted(wanted.keys() - found.keys()):
        base = _of_several(name, wanted[name])
        if base in found:
            answers.setdefault(base, []).append(wanted.pop(name))
    if not answers and nested:  # the folders differ
        found, wanted = (_by_identifier(own, False) for own in files)
    common = sorted(answers)
    alone = sorted(str(found[name]) for name in found.keys() - answers.keys())
    unanswered = sorted(str(wanted[name]) for name in wanted.keys() - found.keys())
    if predictions.is_file():
        unanswered = []  # other references are not asked for
    if references.is_file():
        alone = []
    return {name: (found[name], tuple(answers[name])) for name in common}, alone, unanswered


def _of_several(name: str, path: Path) -> str | None:
    """The identifier of one of several masks of an image: ``x`` for ``x_mask_1.png``; None for others.

    ``name``: the identifier of ``path``, with its folders if names repeat.
    """
    stem = stem_of(path)
    bare = NUMBERED.sub("", stem)
    if bare == stem or not bare.lower().endswith(MASK_SUFFIXES):
        return None
    own = identifier_of(path.with_name(bare + path.name[len(stem) :]))
    return "/".join([*name.split("/")[:-1], own])


def identifier_of(path: Path) -> str:
    """``patient001_frame01_gt.nii.gz`` -> ``patient001_frame01``."""
    stem = unicodedata.normalize("NFC", stem_of(path))  # one letter in several Unicode forms
    ending = next((end for end in MASK_SUFFIXES if stem.lower().endswith(end)), "")
    return stem[: len(stem) - len(ending)] or stem


def score_files(
    prediction: Path,
    references: Sequence[Path],
    case: str,
    classes: Classes | None,
    protocol: Protocol,
    missing: Missing,
    spacing: Spacing | None = None,
    naming: Naming | None = None,
    class_codes: bool = True,
) -> list[CaseScore]:
    """Score one mask. Several references of one class are united.

    Without ``classes``, the codes that occur in either mask are scored.
    255 in a reference marks ignored pixels, which are excluded from both masks, unless it is one of
    ``classes``. Without ``classes``, it is a class if it is the only code of the reference or a code of
    the prediction.

    Raises:
        UserError: if a file is unreadable, lies on another grid, or contains a code that is not a class.
    """
    naming = naming or Naming()
    values = _values_of(naming, classes)
    reference, truth = references[0], _read_united(references, values, naming)
    if naming.codes is not None:
        codes, _ = own_codes(truth.codes, naming.codes, naming.ignore_value, str(reference))
        truth = dataclasses.replace(truth, codes=codes)
    guess = _read_prediction(prediction, values, naming, class_codes)
    _check_grid(prediction, guess, reference, truth)
    if classes is not None:
        named = foreground(classes)
    else:
        present, guessed = set(codes_in(truth.codes)), set(codes_in(guess.codes))
        found = (present | guessed) - {0}
        if IGNORE_INDEX not in guessed and present - {0, IGNORE_INDEX}:
            found.discard(IGNORE_INDEX)  # together with other codes it marks ignored pixels
        named = {code: str(code) for code in sorted(found)}
    if not named:
        return []
    check_codes(guess.codes, named, str(prediction))
    known = named if IGNORE_INDEX in named else {**named, IGNORE_INDEX: "ignored"}
    check_codes(truth.codes, known, str(reference))
    steps = spacing or steps_of(truth.spacing, truth.affine, truth.slice_axis)
    picture = is_picture(reference) and len(truth.codes) == 1
    score = score_picture if picture else score_case
    return score(guess.codes, truth.codes, named, steps, protocol, missing, case)


def read_mask(path: Path, values: MaskValues = USUAL) -> Mask:
    """Read a mask from a file of any format.

    Args:
        path: the file.
        values: the meaning of the values in a picture.

    Raises:
        UserError: if the file is unreadable or contains no class codes.
    """
    if not is_image(path):
        known = ", ".join(suffixes_of("volume"))
        raise UserError(f"{path} is not a mask of a supported format: use {known}, HDF5 or PNG.")
    return format_of(path).read_mask(path, values)


def _class_codes(
    predictions: Sequence[Path], naming: Naming, classes: Classes | None, console: Console
) -> bool:
    """Whether predicted masks contain class codes 1, 2, ... instead of the values of the references.

    All masks are looked at, since a single one may fit both.
    """
    if naming.codes is None or classes is None:
        return naming.colours is None
    values = _values_of(naming, classes)
    named, numbers = set(naming.codes), set(foreground(classes))
    source = number = True
    seen: set[int] = set()
    for path in predictions:
        plain = _codes_of(path, USUAL)
        # the values of volumes have one meaning
        valued = _codes_of(path, values) if is_picture(path) else plain
        if plain is None and valued is None:
            continue  # unreadable, which is reported when it is scored
        seen |= plain or set()
        number = number and plain is not None and plain <= numbers
        source = source and valued is not None and valued <= named
    if source and number and any(naming.codes[value] != value for value in seen & named):
        console.warn(
            "the masks fit the values of the references and the class codes 1, 2, ...: they are read as "
            "values of the references"
        )
    return not source


def _codes_of(path: Path, values: MaskValues) -> set[int] | None:
    """The codes in a mask; None if it cannot be read so."""
    try:
        return set(codes_in(read_mask(path, values).codes)) - {0}
    except UserError:
        return None


def _values_of(naming: Naming, classes: Classes | None) -> MaskValues:
    """The meaning of the values of pictures."""
    several = classes is not None and len(foreground(classes)) > 1
    return MaskValues(tuple(naming.codes or ()), naming.ignore_value, several, naming.colours)


def _read_prediction(path: Path, values: MaskValues, naming: Naming, class_codes: bool) -> Mask:
    """Read a predicted mask, in the values or colours of the references, or in class codes 1, 2, ...

    Raises:
        UserError: if it is unreadable, or has a colour that is no class.
    """
    if naming.colours is not None and is_picture(path):
        with contextlib.suppress(UserError):  # of a mask whose channels differ
            return read_mask(path)
        unnamed = read_picture_mask(path, values=values).unnamed
        if unnamed:
            raise UserError(
                f"{path} has colours without a class ({listed(unnamed)}): name them with --classes."
            )
        return read_mask(path, values)
    if naming.codes is None or class_codes:
        return read_mask(path)
    mask = read_mask(path, values)
    codes, _ = own_codes(mask.codes, naming.codes, None, str(path))
    return dataclasses.replace(mask, codes=codes)


def _read_united(paths: Sequence[Path], values: MaskValues, naming: Naming) -> Mask:
    """Read a mask, or unite several masks of one class.

    Raises:
        UserError: if a file is unreadable, or if they have several codes or other shapes.
    """
    first = read_mask(paths[0], values)
    if len(paths) == 1:
        return first

    def read(path: Path) -> NDArray[np.uint8]:
        mask = read_mask(path, values)
        if mask.shape != first.shape:
            raise UserError(
                f"{path} has shape {times(mask.shape)}, but {paths[0]} of the same image has shape "
                f"{times(first.shape)}: save both on the grid of the image."
            )
        return mask.codes

    found = united([("", path) for path in paths], read, None, naming, paths[0])
    return dataclasses.replace(first, codes=found.codes)


def _check_grid(prediction: Path, guess: Mask, reference: Path, truth: Mask) -> None:
    if guess.shape != truth.shape:
        raise UserError(
            f"{prediction} has shape {times(guess.shape)}, but its reference {reference} has shape "
            f"{times(truth.shape)}: resample the prediction to the reference's grid."
        )
    if guess.affine is None or truth.affine is None or truth.spacing is None:
        return  # pictures have no place in space
    away = apart(guess.affine, truth.affine, truth.shape)
    if not away <= GRID_TOLERANCE * min(truth.spacing):
        raise UserError(
            f"{prediction} lies up to {away:.3g} mm away from its reference {reference} (their "
            "affines differ): resample the prediction to the reference's grid."
        )


Place = tuple[Path, str]
"""A mask, and its folder below the folder that was given (``.`` for that folder itself)."""


def _files_in(path: Path) -> list[Place]:
    """The masks in a folder and its sub-folders, or the one file.

    Raises:
        UserError: if the path does not exist, or contains no masks.
    """
    if path.is_file():
        return [(path, ".")]
    if not path.is_dir():
        raise UserError(f"{path} does not exist: give a folder of masks, or one mask.")
    found = [(f, f.relative_to(path).parent.as_posix()) for f in walk_files(path) if is_image(f)]
    if not found:
        raise UserError(
            f"{path} contains no masks: give a folder of volumes (such as .nii.gz) or pictures (.png)."
        )
    return found


def _repeats(places: Sequence[Place]) -> bool:
    """Whether files in several folders have the same identifier."""
    folders: dict[str, set[str]] = {}
    for file, folder in places:
        folders.setdefault(identifier_of(file), set()).add(folder)
    return any(len(own) > 1 for own in folders.values())


def _by_identifier(places: Sequence[Place], nested: bool) -> dict[str, Path]:
    """Identifier -> mask. If an image and its mask share an identifier, the name with an ending is used.

    ``nested``: whether identifiers contain the folders.
    """
    groups: dict[str, list[Path]] = collections.defaultdict(list)
    for file, folder in places:
        own = identifier_of(file)
        below = unicodedata.normalize("NFC", folder)
        groups[f"{below}/{own}" if nested and folder != "." else own].append(file)
    return {name: _only(name, files) for name, files in groups.items()}


def _only(name: str, files: list[Path]) -> Path:
    marked = [file for file in files if stem_of(file) != name.rpartition("/")[2]]
    chosen = marked if len(files) > 1 and marked else files
    if len(chosen) > 1:
        raise UserError(
            f"{chosen[0]} and {chosen[1]} have the same name '{name}': remove one of them, or use the "
            "same sub-folders for masks and references. To score data with one mask per class, use 'semiseg "
            "evaluate RUN'."
        )
    return chosen[0]


def _check_out(out: Path | None, overwrite: bool) -> None:
    if out is None:
        return
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file: choose a folder for the scores.")
    for name in ("cases.csv", "summary.json"):
        if (out / name).exists() and not overwrite:
            raise UserError(f"{out / name} exists: choose another folder, or use --overwrite.")
