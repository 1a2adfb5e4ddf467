"""The progress of a training, and its position in the schedule: by iterations or by the time used.

With ``training.seconds``, learning rates, ramps and late loss terms follow the time used. The schedule then
ends in time on any machine, however fast its steps are.
"""

import dataclasses
import math

from semiseg.methods.base import Step

SHARE_OF_VALIDATION = 0.25  # of a training with a time limit


@dataclasses.dataclass
class Progress:
    """The state of the loop that a checkpoint stores.

    Attributes:
        done: completed iterations.
        best_dice: the best mean Dice of the validation cases; -1 without a score.
        best_step: iteration of the best weights.
        seconds: time used in the loop, including earlier sessions.
        position: position of the next step in the schedule.
        previous: position of the last step; -1 before the first one.
        closing: seconds of the last validation with its weights.
        validated: ``seconds`` after the last validation.
        ended: whether the schedule has ended.
    """

    done: int = 0
    best_dice: float = -1.0
    best_step: int = 0
    seconds: float = 0.0
    position: int = 0
    previous: int = -1
    closing: float = 0.0
    validated: float = 0.0
    ended: bool = False

    @classmethod
    def of(cls, stored: object) -> "Progress | None":
        """The progress that a checkpoint stores with `dataclasses.asdict`; None if none could be that."""
        fields = {field.name: type(field.default) for field in dataclasses.fields(cls)}
        if not (isinstance(stored, dict) and stored.keys() == fields.keys()):
            return None
        kinds = {name: type(value) for name, value in stored.items()}
        if any(
            kinds[n] is not kind and (kind, kinds[n]) != (float, int) for n, kind in fields.items()
        ):
            return None
        found = cls(**stored)
        times = (found.seconds, found.closing, found.validated)
        sound = (
            0 <= found.best_step <= found.done
            and -1 <= found.previous <= found.position
            and math.isfinite(found.best_dice)
            and all(math.isfinite(time) and time >= 0 for time in times)
        )
        return found if sound else None


class Pace:
    """Positions of steps in a schedule of ``total`` positions.

    By iterations, the position is the number of completed steps. By time, it is the fraction of the time
    used; the time of the last validation is kept free. Positions never decrease, but may repeat or skip.
    """

    def __init__(self, total: int, seconds: float | None = None) -> None:
        """Args: seconds: duration of the training; None: ``total`` iterations."""
        self.total, self.seconds = total, seconds

    def begin(self, progress: Progress) -> None:
        """Complete the progress of a new or resumed training."""
        if self.seconds is None:
            progress.position, progress.previous = progress.done, progress.done - 1
            progress.ended = progress.done >= self.total

    def step(self, progress: Progress) -> Step:
        """The next step."""
        return Step(progress.position, self.total, progress.previous)

    def advance(self, progress: Progress, used: float) -> None:
        """Count a step; ``used`` is the time used after it, in seconds."""
        progress.done += 1
        progress.previous = progress.position
        last, progress.seconds = used - progress.seconds, used
        if self.seconds is None:
            progress.position = progress.done
            progress.ended = progress.done >= self.total
            return
        for_steps = self.seconds - progress.closing
        # ends with the step whose end is nearest to the limit
        progress.ended = used + last / 2 >= for_steps
        reached = self.total if progress.ended else int(self.total * used / for_steps)
        progress.position = max(progress.position, min(reached, self.total - 1))

    def crossed(self, progress: Progress, every: int) -> bool:
        """Whether the last step reached a multiple of ``every`` in the schedule."""
        return progress.position // every > progress.previous // every

    def validates(self, progress: Progress, every: int) -> bool:
        """Whether to validate after the last step. By time, validation takes at most a quarter of it."""
        if progress.ended:
            return True
        if not self.crossed(progress, every):
            return False
        since = progress.seconds - progress.validated
        return self.seconds is None or since * SHARE_OF_VALIDATION >= progress.closing * (
            1 - SHARE_OF_VALIDATION
        )

    def moved(self, progress: Progress) -> int:
        """Positions by which the last step moved a progress bar of ``total``."""
        return (self.total if progress.ended else progress.position) - progress.previous
