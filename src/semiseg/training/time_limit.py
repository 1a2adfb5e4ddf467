"""The length of a training with a time limit."""

import dataclasses

from semiseg.config import GIVEN, Resolved
from semiseg.errors import UserError
from semiseg.training.configuration import with_training
from semiseg.training.pacing import SHARE_OF_VALIDATION

PARTS = 10  # maximum number of validations and of checkpoints, unless the user sets their intervals
FEWEST = 4  # validations, so that they can choose a checkpoint
LENGTHS = ("training.iterations", "training.epochs")


@dataclasses.dataclass(frozen=True)
class TimeLimit:
    """The duration of a training, and what its parts take, in seconds.

    Attributes:
        seconds: duration with all validations.
        each: measured seconds of one step.
        validation: expected seconds of one validation.
        cases: number of its cases.
    """

    seconds: float
    each: float
    validation: float = 0.0
    cases: int = 1


def given_length(resolved: Resolved) -> str | None:
    """The option by which the user gives the number of steps; None if there is none."""
    return next((key for key in LENGTHS if resolved.origins.get(key) in GIVEN), None)


def fit_to_time(
    resolved: Resolved,
    seconds: float,
    each: float | None,
    validation: float = 0.0,
    cases: int = 1,
) -> Resolved:
    """Let the schedule end after ``seconds``.

    Validations take at most a quarter of the time. If fewer than `FEWEST` of all cases fit, there are as
    many of fewer cases.

    Args:
        resolved: the configuration.
        seconds: duration of the training with its validations, above 0.
        each: seconds of one step, by which the positions of the schedule are counted; None: unknown,
            ``training.iterations`` stays.
        validation: expected seconds of one validation.
        cases: number of its cases.

    Raises:
        UserError: if the time is not above 0.
    """
    if not seconds > 0:
        raise UserError("--time must be above 0: write 2h, 30m, 90s or 1h30m.")
    out = with_training(resolved, "seconds", seconds, "--time")
    affordable, most = PARTS, SHARE_OF_VALIDATION * seconds
    if validation > 0:
        affordable = min(PARTS, int(most / validation))
    if affordable < FEWEST:
        affordable = FEWEST
        fewer = max(int(cases * most / (FEWEST * validation)), 1)
        if fewer < cases:
            out = with_training(out, "validation_cases", fewer, "--time")
    count = out.config.training.iterations
    if each is not None:
        count = max(round(seconds / each), 1)
        out = with_training(out, "iterations", count, f"--time and steps of about {each:.2g} s")
    for name, parts in (("validate_every", affordable), ("checkpoint_every", PARTS)):
        if out.origins.get(f"training.{name}") not in GIVEN:
            out = with_training(out, name, max(-(-count // parts), 1), "--time")
    origins = {key: origin for key, origin in out.origins.items() if key != "training.epochs"}
    return dataclasses.replace(with_training(out, "epochs", None), origins=origins)
