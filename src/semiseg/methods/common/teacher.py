"""A teacher that is the average of its student (Tarvainen and Valpola, NeurIPS 2017).

A method makes the teacher in its constructor and updates it after the optimiser's step:

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
    """A copy that no gradient reaches."""
    teacher = copy.deepcopy(student)
    teacher.requires_grad_(False)
    return teacher


def ema_decay_at(index: int, ema_decay: float) -> float:
    """``min(1 - 1/(t + 1), d)``: the decay of step t, counted from 0 (the field's benchmark).

    The teacher is the student after the first step, and the plain mean of all students until 1 - 1/(t + 1)
    reaches ``ema_decay``. The average then has no trace of the initial weights.
    """
    return min(1 - 1 / (index + 1), ema_decay)


@torch.no_grad()
def update_ema(teacher: nn.Module, student: nn.Module, ema_decay: float) -> None:
    """teacher <- d teacher + (1 - d) student: the weights, and the running averages of batch norm.

    Tarvainen and Valpola's equation for theta'; PLGCL, equations 9 and 10 (its alpha is ``ema_decay``;
    equation 10 means the student's decoder). Counters are copied.
    """
    own, others = teacher.state_dict(), student.state_dict()
    for name, value in own.items():
        if value.is_floating_point():
            value.lerp_(others[name].to(value.dtype), 1 - ema_decay)
        else:
            value.copy_(others[name])
