"""A teacher that is the exponential moving average of its student.

Tarvainen and Valpola, NeurIPS 2017. A method creates the teacher in its constructor and updates it after
the optimiser's step:

    self.teacher = frozen_copy(self.student)

    def after_step(self, step):
        update_ema(self.teacher, self.student, ema_decay_at(step.index, self.options.ema_decay))
"""

import copy
from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def frozen_copy(student: M) -> M:
    """Return a copy whose parameters require no gradient."""
    teacher = copy.deepcopy(student)
    teacher.requires_grad_(False)
    return teacher


def ema_decay_at(index: int, ema_decay: float) -> float:
    """Return ``min(1 - 1/(t + 1), d)``, the decay of step t, counted from 0 (SSL4MIS benchmark).

    After the first step the teacher equals the student. Until 1 - 1/(t + 1) reaches ``ema_decay`` it is the
    mean of all students. The initial weights do not contribute.
    """
    return min(1 - 1 / (index + 1), ema_decay)


@torch.no_grad()
def update_ema(teacher: nn.Module, student: nn.Module, ema_decay: float) -> None:
    """Update teacher <- d teacher + (1 - d) student: weights and batch norm's running averages.

    Tarvainen and Valpola's equation for theta'; PLGCL, equations 9 and 10 (alpha is ``ema_decay``; in
    equation 10 we read the student's decoder). Integer buffers are copied.
    """
    own, others = teacher.state_dict(), student.state_dict()
    for name, value in own.items():
        if value.is_floating_point():
            value.lerp_(others[name].to(value.dtype), 1 - ema_decay)
        else:
            value.copy_(others[name])
