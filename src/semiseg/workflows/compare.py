"""``semiseg evaluate PREDICTIONS REFERENCES``: score the masks in two folders."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from semiseg.console import Console, Repeated
from semiseg.data.task import IGNORE_INDEX
from semiseg.datasets.base import Naming
from semiseg.datasets.naming import own_codes
from semiseg.datasets.patients import patients_in
from semiseg.datasets.spelling import one_spelling
from semiseg.errors import UserError, reason_to_skip
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
from semiseg.formats import is_picture
from semiseg.formats.base import Mask
from semiseg.formats.grid import GRID_TOLERANCE, apart, steps_of
from semiseg.locking import locked
from semiseg.text import listed, plural, times
from semiseg.workflows.mask_pairs import differ_in_padding, pair_files
from semiseg.workflows.mask_reading import are_class_codes, read_prediction, read_united, values_of

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
            "name (endings such as _gt, _seg, _mask, _label and _pred are ignored)."
        )
    padded = [(p, r[0]) for p, r in pairs.values() if differ_in_padding(p, r[0])]
    if padded:
        one, other = (path.name for path in padded[0])
        console.warn(
            f"{plural(len(padded), 'pair')} with other leading zeros in the name of the reference (such as "
            f"{one} and {other})."
        )
    class_codes = are_class_codes(
        [pair[0] for pair in pairs.values()], naming or Naming(), classes, console
    )
    scores: list[CaseScore] = []
    failed: dict[str, str] = {}
    skipped = Repeated(console, "skipped")
    empty: list[str] = []
    for case, (prediction, answers) in console.track(pairs.items(), "evaluate", len(pairs)):
        try:
            rows = score_files(
                prediction, answers, case, classes, protocol, missing, spacing, naming, class_codes
            )
        except (UserError, MemoryError, OSError, RuntimeError) as error:
            failed[case] = reason_to_skip(error, str(prediction), "score it")
            skipped.add(failed[case], case, map(str, (prediction, *answers)))
            continue
        scores += rows
        if not rows:
            empty.append(case)
    skipped.finish()
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
    patients = patients_in(joined, [""] * len(cases), pattern, pictures)
    respelt = one_spelling(patients)  # as in `prepare`
    return {case: respelt.get(name, name) for case, name in zip(cases, patients, strict=True)}


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
    values = values_of(naming, classes)
    reference, truth = references[0], read_united(references, values, naming)
    if naming.codes is not None:
        codes, _ = own_codes(truth.codes, naming.codes, naming.ignore_value, str(reference))
        truth = dataclasses.replace(truth, codes=codes)
    guess = read_prediction(prediction, values, naming, class_codes)
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


def _check_out(out: Path | None, overwrite: bool) -> None:
    if out is None:
        return
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file: choose a folder for the scores.")
    for name in ("cases.csv", "summary.json"):
        if (out / name).exists() and not overwrite:
            raise UserError(f"{out / name} exists: choose another folder, or use --overwrite.")
