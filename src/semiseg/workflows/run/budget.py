"""The division of ``--time`` among the steps of ``semiseg run``."""

import dataclasses
import time
from collections.abc import Callable

from semiseg.workflows.unlabelled_pictures import MOST

FIXED = 6.0  # seconds for the page and for loading networks
SCORING = 2.0  # seconds of a scored case, in predictions: distances take about as long as one
SHOWN = 3  # scored cases on the page
LEAST = 0.5  # of the time that is left, for trainings


class Stopwatch:
    """Seconds since a start, by an exchangeable clock."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, begun: float | None = None
    ) -> None:
        """Args: begun: the clock's value at the start; default: now."""
        self.clock, self.start = clock, clock() if begun is None else begun

    def used(self) -> float:
        """Seconds since the start."""
        return self.clock() - self.start


@dataclasses.dataclass(frozen=True)
class Costs:
    """Measured seconds.

    Attributes:
        step: of one training step.
        prediction: of a prepared case.
        mask: of reading an image of the source, predicting it and writing the mask.
        loading: of preparing a training before its first step.
    """

    step: float
    prediction: float
    mask: float
    loading: float = 0.0


@dataclasses.dataclass(frozen=True)
class Work:
    """Counts of what a round does.

    Attributes:
        trainings: folds and the final network.
        scored: cases, each scored once.
        masks: images to predict.
        unlabelled: those of them without a label, some of which are on the page.
        earlier: whether the earlier round's networks are scored too.
    """

    trainings: int
    scored: int
    masks: int
    unlabelled: int = 0
    earlier: bool = False

    def afterwards(self, costs: Costs) -> float:
        """Seconds of everything except training."""
        shown = SHOWN + min(MOST, self.unlabelled)
        scoring = SCORING * self.scored * (2 if self.earlier else 1)
        return FIXED + costs.prediction * (scoring + shown) + costs.mask * self.masks


@dataclasses.dataclass(frozen=True)
class Shares:
    """The division of the time.

    Attributes:
        each: seconds of each training.
        reserve: seconds for everything afterwards.
        excess: seconds over ``--time`` that cannot be avoided.
    """

    each: float
    reserve: float
    excess: float


def divide(seconds: float, used: float, work: Work, costs: Costs) -> Shares:
    """Divide the time that is left among the trainings.

    At least half of it is for training, even if predicting all images then takes longer than ``seconds``.
    If the preparation alone has taken it, a tenth of ``seconds`` is.

    Args:
        seconds: ``--time``.
        used: seconds used so far.
        work: what remains to do.
        costs: measured seconds.
    """
    left = seconds - used
    least = max(LEAST * left, seconds / 10)
    reserve = work.afterwards(costs)
    for_training = max(left - reserve, least)
    each = max(for_training / work.trainings - costs.loading, costs.step)
    return Shares(each, reserve, max(used + for_training + reserve - seconds, 0.0))


def next_share(
    seconds: float, used: float, reserve: float, planned: float, trainings: int
) -> float:
    """The seconds of the next training, corrected by the time that the earlier ones took.

    Args:
        seconds: ``--time``.
        used: seconds used so far.
        reserve: seconds to keep for everything after the trainings.
        planned: seconds that were planned for each training.
        trainings: number of trainings that remain.
    """
    free = (seconds - used - reserve) / trainings
    return min(max(free, planned / 2), 2 * planned)
