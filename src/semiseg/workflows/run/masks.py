"""Masks of all images whose labels were not used for training."""

import dataclasses

from semiseg.console import Console, Repeated
from semiseg.data.manifest import PreparedData
from semiseg.datasets import find_layout
from semiseg.datasets.base import SourceCase
from semiseg.errors import UserError, reason_to_skip
from semiseg.formats import NIFTI, find_format
from semiseg.text import plural
from semiseg.training.patients import cases_of
from semiseg.training.run_output import RunOutput
from semiseg.workflows.loading import load_predictor
from semiseg.workflows.prediction_files import write_prediction
from semiseg.workflows.prediction_record import PredictionRecord
from semiseg.workflows.prediction_table import NAME
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
    output.masks.mkdir(exist_ok=True)
    record = PredictionRecord([output.training], output.masks)
    skipped = Repeated(console, "skipped")
    written = 0
    for case in console.track(cases, "predicting"):
        target = output.masks / f"{case.identifier}{_mask_suffix(case)}"
        if not target.exists():
            try:
                volume = case.read()
                done = write_prediction(predictor, volume, target)
            except (UserError, MemoryError, OSError, RuntimeError) as error:
                why = reason_to_skip(error, case.identifier, "predict it")
                skipped.add(why, case.identifier, map(str, case.files))
                continue
            record.add(target, case.identifier, volume, done)
        written += 1
    skipped.finish()
    for note in record.finish():
        console.warn(note)
    console.info(f"{plural(written, 'mask')} in {output.masks}, listed in {NAME}")
    return written


def _mask_suffix(case: SourceCase) -> str:
    """The suffix of a mask's name: that of pictures and stacks of pictures, else NIfTI's."""
    image = case.files[0]
    found = find_format(image)
    own = found is not None and found.kind == "picture"
    return (found if found is not None and own else NIFTI).mask_suffix(image)
