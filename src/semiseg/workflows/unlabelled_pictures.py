"""Predictions of images without a label for the page of ``semiseg run``, the least certain first."""

from pathlib import Path

import numpy as np

from semiseg.console import Console
from semiseg.data.manifest import Case
from semiseg.formats import stem_of
from semiseg.inference.predictors import predict_case
from semiseg.reporting.overlays import Shown
from semiseg.reporting.results import open_data
from semiseg.training.run_output import RunOutput
from semiseg.workflows.left_out_pictures import picture_of
from semiseg.workflows.loading import load_predictor
from semiseg.workflows.prediction_table import Prediction, read_predictions

MOST = 12  # images on the page
EMPTY = 4  # of them at least, if there are so many images in which nothing is marked

Row = tuple[Case, Prediction]


def unlabelled_pictures(output: RunOutput, device: str, console: Console) -> list[Shown]:
    """The least certain predictions of images without a label, and of those in which nothing is marked.

    Raises:
        UserError: if the table of predictions is damaged, or the run cannot be loaded.
    """
    data = open_data(str(output.data))
    if data is None:
        return []
    rows = [
        (data.cases[stem], row)
        for row in read_predictions(output.masks)
        if (stem := stem_of(Path(row.mask))) in data.cases and not data.cases[stem].labelled
    ]
    if not rows:
        return []
    predictor = load_predictor(output.training.folder, device=device)
    out = []
    for title, (case, row) in console.track(choose(rows), "pictures of unlabelled images"):
        why = f"confidence {row.confidence:.2f}" + (f"; {row.remarks}" if row.remarks else "")
        with picture_of(case.identifier, console):
            image = np.asarray(data.image(case.identifier))
            predicted = predict_case(predictor, data, case)
            out.append(
                Shown(
                    title, case.identifier, why, image, None, {"prediction": predicted}, {},
                    case.spacing,
                )
            )  # fmt: skip
    return out


def choose(rows: list[Row]) -> list[tuple[str, Row]]:
    """The images to show, each with the title of its section."""
    ordered = sorted(rows, key=lambda pair: (pair[1].confidence, pair[1].mask))
    filled = [pair for pair in ordered if pair[1].marked]
    empty = [pair for pair in ordered if not pair[1].marked]
    filled_places = max(MOST - min(len(empty), EMPTY), 0)
    empty_places = MOST - min(len(filled), filled_places)
    sections = (
        ("Masks", filled, filled_places),
        ("Images in which nothing is marked", empty, empty_places),
    )
    return [
        (f"{name}: {_of(len(own), places)}", pair)
        for name, own, places in sections
        for pair in own[:places]
    ]


def _of(count: int, places: int) -> str:
    return f"all {count:,}" if count <= places else f"{places} of {count:,}, the least certain"
