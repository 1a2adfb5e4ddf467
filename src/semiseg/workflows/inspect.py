"""``semiseg inspect``: what is in a data set, prepared or not, before anything is trained on it."""

import contextlib
import json as json_module
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from semiseg.console import Console, Quiet
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.evaluation.inspection.duplicates import duplicates
from semiseg.evaluation.inspection.images import images
from semiseg.evaluation.inspection.labels import labels
from semiseg.evaluation.inspection.measure import CaseFacts, measure
from semiseg.evaluation.inspection.patients import parts_of, patients
from semiseg.evaluation.inspection.resolution import resolution
from semiseg.evaluation.inspection.summary import Inspection, class_facts, intensity_facts
from semiseg.files import atomic_output, is_partial
from semiseg.preparation.auto_config import size_of
from semiseg.preparation.near_duplicates import PICTURE, VOLUME
from semiseg.reporting.inspection import content, lines, write_cases
from semiseg.stopping import listening
from semiseg.workflows.prepare import prepare

SIZES = range(8, 4097)
PAGE, FACTS, CASES = "page.html", "inspect.json", "cases.csv"


def inspect(
    data: Path | str,
    out: Path | str | None = None,
    *,
    size: int | None = None,
    layout: str | None = None,
    classes: Sequence[str] | None = None,
    patient_pattern: str | None = None,
    json: bool = False,
    overwrite: bool = False,
    console: Console | None = None,
) -> Inspection:
    """Measure every case, look for what is wrong, print it, and write it where asked.

    Args:
        data: a prepared data set; or a folder of images in any supported layout, which is read into
            a temporary prepared set that is removed at the end.
        out: a new folder for page.html, inspect.json and cases.csv; default: print only.
        size: side of the network's input in pixels; default: what the data suggest.
        layout: of a folder of images; default: recognised by itself.
        classes: of a folder of images, as `prepare` takes them.
        patient_pattern: of a folder of images, as `prepare` takes it.
        json: print JSON in place of text, and nothing else.
        overwrite: replace an inspection at ``out``.
        console: where the text and the progress go.

    Returns:
        All that was found.

    Raises:
        UserError: where the data cannot be read, or ``out`` may not be written; nothing that
            existed is then touched.
    """
    data, console = Path(data), console or Console()
    target = None if out is None else Path(out)
    if size is not None and size not in SIZES:
        raise UserError(f"--size {size}: give the side of the input, {SIZES[0]} to {SIZES[-1]}.")
    if target is not None:
        _check_output(target, data, overwrite)
    given = {"layout": layout, "classes": classes, "patient_pattern": patient_pattern}
    with _made(target), _opened(data, given, console, quiet=json) as prepared:
        found = examine(prepared, data, size, console)
        if json:
            print(_json(found), flush=True)
        else:
            for line in lines(found):
                console.say(line)
        if target is not None:
            _write(found, prepared, target)
            if not json:
                console.say(f"page: {target / PAGE}")
    return found


def examine(data: PreparedData, place: Path, size: int | None, console: Console) -> Inspection:
    """Measure all cases of a prepared set, one at a time, and judge them.

    Args:
        data: the set.
        place: what a person calls it.
        size: side of the network's input; None takes what the data suggest.
        console: for the progress.

    Raises:
        UserError: for missing or damaged arrays.
    """
    manifest, task = data.manifest, data.task
    if not manifest.cases:
        raise UserError(f"{data.folder} lists no case in its manifest: prepare the data again.")
    origin = "as asked for" if size is not None else "as the data suggest"
    size = size or size_of(manifest)
    parts = parts_of(manifest.split)
    small_shape = PICTURE if all(case.slices == 1 for case in manifest.cases) else VOLUME
    cases: list[CaseFacts] = []
    with listening() as stop, console.bar("inspecting", len(manifest.cases)) as bar:
        for case in manifest.cases:
            image = data.image(case.identifier)
            label = data.label(case.identifier) if case.labelled else None
            if image.shape != case.shape or (
                label is not None and label.shape != (image.shape[0], *image.shape[2:])
            ):
                raise UserError(
                    f"{data.folder}: the arrays of {case.identifier} have other shapes than its "
                    "manifest says: prepare the data again."
                )
            part = parts.get(case.patient, "")
            cases.append(measure(case, part, image, label, task.classes, size, small_shape))
            bar.advance()
            stop.pass_on()
    per_class = class_facts(cases, task.classes)
    findings = [
        *patients(cases, parts),
        *duplicates(cases),
        *labels(cases, task.classes),
        *images(cases, task.intensity),
        *resolution(per_class, size),
    ]
    return Inspection(
        place=place, manifest=manifest, size=size, size_origin=origin, cases=tuple(cases),
        classes=per_class, intensities=intensity_facts(cases),
        findings=tuple(sorted(findings, key=lambda finding: finding.level != "serious")),
    )  # fmt: skip


class _Progress(Console):
    """Bars alone: what the preparation says is said again by the inspection."""

    def say(self, text: str = "") -> None:
        """Nothing."""

    def warn(self, text: str) -> None:
        """Nothing."""


@contextlib.contextmanager
def _opened(
    data: Path, given: dict[str, Any], console: Console, quiet: bool
) -> Iterator[PreparedData]:
    """The prepared set at ``data``, or one made of it in a temporary folder."""
    if (data / "manifest.json").is_file() and (data / "images").is_dir():
        for name, value in given.items():
            if value is not None:
                raise UserError(
                    f"--{name.replace('_', '-')} is for a folder of images, but {data} is prepared "
                    "already: leave it out, or give the images."
                )
        yield PreparedData(data)
        return
    # a signal must not leave the temporary folder behind
    with listening() as stop, tempfile.TemporaryDirectory(prefix="semiseg-inspect-") as folder:
        if not quiet:
            console.say(
                f"{data} is not prepared: it is read into {folder}, which is removed after."
            )
        silent = Quiet() if isinstance(console, Quiet) else _Progress()
        place = Path(folder, "data")
        prepare(data, place, **given, console=silent)
        yield PreparedData(place)
    stop.pass_on()


@contextlib.contextmanager
def _made(out: Path | None) -> Iterator[None]:
    """Make the folder before anything slow begins; what was made goes where that fails."""
    if out is None:
        yield
        return
    from semiseg.workflows.new_folder import make_folder  # imports torch

    missing = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        make_folder(out)
        yield
    except BaseException:
        for folder in missing:
            with contextlib.suppress(
                OSError
            ):  # it was not made, or somebody else's files are in it
                folder.rmdir()
        raise


def _check_output(out: Path, data: Path, overwrite: bool) -> None:
    """Refuse a folder that holds something else, or lies within the data."""
    real, real_data = out.resolve(), data.resolve()
    if real == real_data or real_data in real.parents:
        raise UserError(f"-o {out} lies within the data {data}: choose a folder outside.")
    if not real.exists():
        return
    if not real.is_dir():
        raise UserError(f"{out} is a file: choose another folder.")
    held = {path.name for path in real.iterdir() if not is_partial(path)}
    if held and FACTS not in held:
        raise UserError(
            f"{out} exists and is no inspection, so it is not replaced: choose another folder."
        )
    if held and not overwrite:
        raise UserError(f"{out} exists: choose another folder, or replace it with --overwrite.")


def _write(found: Inspection, data: PreparedData, out: Path) -> None:
    from semiseg.reporting.inspection_page import inspection_page

    page = inspection_page(found, data)
    with atomic_output(out / FACTS) as partial:
        partial.write_text(_json(found) + "\n", encoding="utf-8")
    write_cases(out / CASES, found)
    with atomic_output(out / PAGE) as partial:
        partial.write_text(page, encoding="utf-8")


def _json(found: Inspection) -> str:
    return json_module.dumps(content(found), indent=1, allow_nan=False)
