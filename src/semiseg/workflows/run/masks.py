"""Masks of all images whose labels were not used for training."""

import dataclasses

from semiseg.console import Console
from semiseg.data.image_ranges import Difference, sentences
from semiseg.data.manifest import PreparedData
from semiseg.datasets import find_layout
from semiseg.datasets.base import SourceCase
from semiseg.errors import UserError
from semiseg.formats import NIFTI, find_format
from semiseg.text import plural
from semiseg.training.patients import cases_of
from semiseg.training.run_output import RunOutput
from semiseg.workflows.loading import load_predictor
from semiseg.workflows.predict import comparison, reason_to_skip
from semiseg.workflows.prediction_files import write_prediction
from semiseg.workflows.prediction_table import NAME, Prediction, PredictionTable
from semiseg.workflows.run.request import RunRequest

WHOLE = 1 << 30  # pictures are predicted at their own size


def source_cases(request: RunRequest) -> list[SourceCase]:
    """All images of the source at their own size."""
    reader = dataclasses.replace(request.how_to_read, max_side=WHOLE)
    layout, _ = find_layout(request.source, reader.layout)
    return list(layout.scan(request.source, reader.options).cases)


def write_masks(
    output: RunOutput, data: PreparedData, request: RunRequest, console: Console
) -> int:
    """Predict all cases whose labels were not used for training, on their own grids."""
    known = {case.identifier for case in cases_of(data, output.training.split()).labelled}
    cases = [case for case in source_cases(request) if case.identifier not in known]
    predictor = load_predictor(output.training.folder, device=request.device)
    compare = comparison(output.training)
    output.masks.mkdir(exist_ok=True)
    targets = {
        case.identifier: output.masks / f"{case.identifier}{_mask_suffix(case)}" for case in cases
    }
    table = PredictionTable(output.masks)
    unlike: list[tuple[str, list[Difference]]] = []
    written = 0
    for case in console.track(cases, "predicting"):
        target = targets[case.identifier]
        if not target.exists():
            try:
                volume = case.read()
                done = write_prediction(predictor, volume, target)
            except (UserError, MemoryError, RuntimeError) as error:
                console.warn(f"skipped: {reason_to_skip(error, case.identifier)}")
                continue
            unusual = compare(volume)
            unlike.append((case.identifier, unusual))
            said = "; ".join(f"{one.kind}: {one.words}" for one in unusual)
            table.add(Prediction(target.name, done.confidence, done.marked, case.identifier, said))
        written += 1
    table.finish()
    for note in sentences(unlike):
        console.warn(note)
    console.info(f"{plural(written, 'mask')} in {output.masks}, listed in {NAME}")
    return written


def _mask_suffix(case: SourceCase) -> str:
    """The suffix of a mask's name: that of pictures and stacks of pictures, else NIfTI's."""
    image = case.files[0]
    found = find_format(image)
    own = found is not None and found.kind == "picture"
    return (found if found is not None and own else NIFTI).mask_suffix(image)
