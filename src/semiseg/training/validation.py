"""Dice of validation cases during training, which selects the best checkpoint."""

from collections.abc import Sequence

import numpy as np

from semiseg.data.manifest import Case, PreparedData
from semiseg.errors import memory_for
from semiseg.evaluation.classes import without_ignored
from semiseg.evaluation.overlap import dice
from semiseg.inference.predictors import AnyPredictor


def validation_dice(
    predictor: AnyPredictor, data: PreparedData, cases: Sequence[Case]
) -> dict[str, float]:
    """Return the 3D Dice of each class on the original grid, mean over cases with the class.

    ``dice`` is the mean over classes. Classes without a case and ignored pixels are left out.

    Raises:
        RunFailure: if the memory does not suffice for a case.
    """
    scores: dict[str, list[float]] = {name: [] for name in data.task.foreground}
    for case in cases:
        with memory_for(case.identifier, "score it in the validation"):
            image = np.asarray(data.image(case.identifier))
            predicted = predictor.predict(image, case.bounds, case.spacing)
            label = np.asarray(data.label(case.identifier))
            prediction, reference = without_ignored(predicted, label)
            for code, name in enumerate(data.task.foreground, start=1):
                truth = reference == code
                if truth.any():
                    scores[name].append(dice(prediction == code, truth) or 0.0)
    means = {name: float(np.mean(values)) for name, values in scores.items() if values}
    return {"dice": float(np.mean(list(means.values()))) if means else float("nan"), **means}
