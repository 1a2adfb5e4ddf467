"""The labelled patients of a training, and those that select its checkpoint."""

import dataclasses
from collections.abc import Sequence

from semiseg.data.batch_loader import unlabelled_slices_of
from semiseg.data.budget import parse_budget
from semiseg.data.manifest import Case, PreparedData
from semiseg.data.splits import draw_labelled
from semiseg.errors import UserError
from semiseg.training.run_folder import RunSplit

FEWEST_FOR_VALIDATION = 5


@dataclasses.dataclass(frozen=True)
class Cases:
    """The cases of a training: labelled, unlabelled, and those that select the checkpoint."""

    labelled: Sequence[Case]
    unlabelled: Sequence[Case]
    validation: Sequence[Case]

    def unlabelled_slices(self, dimensions: int) -> int:
        """Count the slices of labelled cases without a label, which are unlabelled images in 2D."""
        return len(unlabelled_slices_of(self.labelled)) if dimensions == 2 else 0

    def has_unlabelled(self, dimensions: int) -> bool:
        """Return whether a training on slices (2) or patches (3) has unlabelled images."""
        return bool(self.unlabelled or self.unlabelled_slices(dimensions))


def choose_patients(data: PreparedData, labelled: str, labelled_seed: int | None) -> RunSplit:
    """Choose the labelled patients of a training and those that select its checkpoint.

    If the data have no validation part, a fifth of the labelled patients is used. With fewer than five
    labelled patients there is no validation, and the last checkpoint is used.
    """
    split = data.manifest.split
    with_labels = _patients(data.of_patients(split.train, labelled=True))
    if not with_labels:
        raise UserError("The training part has no labelled case: prepare the data with labels.")
    chosen = draw_labelled(
        split, with_labels, parse_budget(labelled, len(with_labels)), labelled_seed
    )
    own = not data.of_patients(split.validation, labelled=True)
    if own and len(chosen) >= FEWEST_FOR_VALIDATION:
        count = max(len(chosen) // 5, 1)
        kept, held_out = chosen[:-count], chosen[-count:]
        split = split.model_copy(
            update={
                "train": tuple(p for p in split.train if p not in held_out),
                "validation": held_out,
            }
        )
        return RunSplit(split=split, labelled=kept, budget=labelled, validation_from_training=True)
    return RunSplit(split=split, labelled=chosen, budget=labelled)


def _patients(cases: Sequence[Case]) -> list[str]:
    return list(dict.fromkeys(case.patient for case in cases))


def cases_of(data: PreparedData, split: RunSplit) -> Cases:
    """Return the cases of a run's split. Labelled patients can have unlabelled cases."""
    labelled = data.of_patients(split.labelled, labelled=True)
    chosen = {case.identifier for case in labelled}
    unlabelled = [c for c in data.of_patients(split.split.train) if c.identifier not in chosen]
    validation = data.of_patients(split.split.validation, labelled=True)
    if not labelled:
        raise UserError("None of the chosen patients has a label: choose others with --labelled.")
    return Cases(labelled, unlabelled, validation)
