"""``semiseg inspect``: describe a data set, prepared or not, and warn about possible errors in it."""

import contextlib
import inspect as inspect_module
import json as json_module
from collections.abc import Iterator
from pathlib import Path
from typing import Unpack

from semiseg.console import Console, Quiet
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError, memory_for
from semiseg.evaluation.inspection.duplicates import duplicates
from semiseg.evaluation.inspection.images import images
from semiseg.evaluation.inspection.labels import labels
from semiseg.evaluation.inspection.measure import CaseFacts, measure
from semiseg.evaluation.inspection.patients import parts_of, patients
from semiseg.evaluation.inspection.resolution import resolution
from semiseg.evaluation.inspection.summary import Inspection, class_facts, intensity_facts
from semiseg.files import atomic_outputs, is_partial
from semiseg.locking import locked
from semiseg.preparation.auto_config import size_of
from semiseg.preparation.near_duplicates import PICTURE, VOLUME
from semiseg.reporting.inspection import content, lines, write_cases
from semiseg.reporting.stored_inspection import FACTS
from semiseg.stopping import listening
from semiseg.workflows.prepare import ReadOptions, prepare
from semiseg.workflows.temporary import remove_stale, temporary_folder

SIZES = range(8, 4097)
PAGE, CASES = "page.html", "cases.csv"


def inspect(
    data: Path | str,
    out: Path | str | None = None,
    *,
    size: int | None = None,
    json: bool = False,
    overwrite: bool = False,
    console: Console | None = None,
    **reading: Unpack[ReadOptions],
) -> Inspection:
    """Measure every case, look for errors, and print the result or write it to a folder.

    Args:
        data: a prepared data set; or a folder of images in any supported layout, which is prepared in
            a temporary folder.
        out: a new folder for page.html, inspect.json and cases.csv; default: only print.
        size: side of the network's input in pixels; default: chosen from the data.
        json: print only JSON.
        overwrite: replace an inspection at ``out``.
        console: prints messages and progress.
        reading: how a folder of images is read, see `prepare`: layout, classes, patient_pattern, spacing,
            split, parts, max_side, intensity, all_frames, ignore_value, empty_slices, reader,
            uneven_slices, skip_bad, labels, class_by_folder, trust_grid.

    Returns:
        The facts and warnings.

    Raises:
        UserError: if the data cannot be read, or ``out`` must not be written. Existing files are then
            unchanged.
        RunFailure: if the memory does not suffice for a case.
    """
    data, console = Path(data), console or Console()
    target = None if out is None else Path(out)
    if size is not None and size not in SIZES:
        raise UserError(f"--size {size}: give the side of the input, {SIZES[0]} to {SIZES[-1]}.")
    if target is None and overwrite:
        raise UserError("--overwrite replaces an inspection in a folder: give the folder with -o.")
    if target is not None:
        _check_output(target, data, overwrite)
    remove_stale()
    lock = contextlib.nullcontext() if target is None else locked(target, "inspecting")
    with lock, _opened(data, reading, console, quiet=json) as prepared:
        found = examine(prepared, data, size, console)
        if json:
            print(_json(found), flush=True)
        else:
            for line in lines(found):
                console.info(line)
        if target is not None:
            write_inspection(found, prepared, target)
            if not json:
                console.info(f"page: {target / PAGE}")
    return found


def examine(data: PreparedData, place: Path, size: int | None, console: Console) -> Inspection:
    """Measure all cases of a prepared data set, one at a time, and look for errors.

    Args:
        data: the data set.
        place: its path as given by the user.
        size: side of the network's input; None: chosen from the data.
        console: shows the progress.

    Raises:
        UserError: if arrays are missing or damaged.
        RunFailure: if the memory does not suffice for a case.
    """
    manifest, task = data.manifest, data.task
    if not manifest.cases:
        raise UserError(f"The manifest of {data.folder} lists no case: prepare the data again.")
    origin = "as given" if size is not None else "chosen from the data"
    size = size or size_of(manifest)
    parts = parts_of(manifest.split)
    small_shape = PICTURE if all(case.slices == 1 for case in manifest.cases) else VOLUME
    cases: list[CaseFacts] = []
    with listening() as stop, console.bar("inspecting", len(manifest.cases)) as bar:
        for case in manifest.cases:
            with memory_for(case.identifier, "inspect it"):
                image = data.image(case.identifier)
                data.check_finite(image, case.identifier)
                label = data.label(case.identifier) if case.labelled else None
                part = parts.get(case.patient, "")
                cases.append(measure(case, part, image, label, task.classes, size, small_shape))
            bar.advance()
            stop.pass_on()
    per_class = class_facts(cases, task.classes)
    findings = [
        *patients(cases),
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
    """Shows only progress bars: the inspection repeats the messages of the preparation."""

    def info(self, text: str = "") -> None:
        """Print nothing."""

    def warn(self, text: str) -> None:
        """Print nothing."""


@contextlib.contextmanager
def _opened(
    data: Path, reading: ReadOptions, console: Console, quiet: bool
) -> Iterator[PreparedData]:
    """Open the prepared data set at ``data``, or prepare ``data`` in a temporary folder."""
    if (data / "manifest.json").is_file() and (data / "images").is_dir():
        usual = inspect_module.signature(prepare).parameters
        for name, value in reading.items():
            if value != usual[name].default:
                raise UserError(
                    f"--{name.replace('_', '-')} needs a folder of images, but {data} is a prepared data "
                    "set: leave the option out, or give the folder of images."
                )
        yield PreparedData(data)
        return
    # a signal must not leave the temporary folder behind
    with listening() as stop, temporary_folder() as folder:
        if not quiet:
            console.info(f"{data} is not prepared: preparing it in the temporary folder {folder}.")
        silent = Quiet() if isinstance(console, Quiet) else _Progress()
        place = Path(folder, "data")
        prepare(data, place, console=silent, **reading)
        yield PreparedData(place)
    stop.pass_on()


def _check_output(out: Path, data: Path, overwrite: bool) -> None:
    """Check that the folder contains nothing else and does not lie within the data."""
    real, real_data = out.resolve(), data.resolve()
    if real == real_data or real_data in real.parents:
        raise UserError(f"-o {out} lies within the data {data}: choose a folder outside of it.")
    if not real.exists():
        return
    if not real.is_dir():
        raise UserError(f"{out} is a file: choose another folder.")
    held = {path.name for path in real.iterdir() if not is_partial(path)}
    if held and FACTS not in held:
        raise UserError(
            f"{out} exists and is not an inspection, so it is not replaced: choose another folder."
        )
    if held and not overwrite:
        raise UserError(f"{out} exists: choose another folder, or replace it with --overwrite.")


def write_inspection(found: Inspection, data: PreparedData, out: Path) -> None:
    """Write page.html, inspect.json and cases.csv into ``out``, all or none.

    Raises:
        UserError: if a file cannot be written.
    """
    from semiseg.reporting.inspection_page import inspection_page

    texts = {FACTS: _json(found) + "\n", PAGE: inspection_page(found, data)}
    # all or none: an incomplete inspection would not be taken for one
    with atomic_outputs([out / CASES, out / PAGE, out / FACTS]) as (cases, page, facts):
        write_cases(cases, found)
        page.write_text(texts[PAGE], encoding="utf-8")
        facts.write_text(texts[FACTS], encoding="utf-8")


def _json(found: Inspection) -> str:
    return json_module.dumps(content(found), indent=1, allow_nan=False)
