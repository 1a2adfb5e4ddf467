"""A teacher that is the average of its student (Tarvainen and Valpola, NeurIPS 2017)."""

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


@torch.no_grad()
def update_average(teacher: nn.Module, student: nn.Module, ema_decay: float) -> None:
    """teacher <- d teacher + (1 - d) student: weights, and batch norm's averages with them.

    PLGCL, equations 9 and 10 (its alpha is ``ema_decay``; equation 10 means the student's decoder).
    Counters are copied.
    """
    own, others = teacher.state_dict(), student.state_dict()
    for name, value in own.items():
        if value.is_floating_point():
            value.lerp_(others[name].to(value.dtype), 1 - ema_decay)
        else:
            value.copy_(others[name])
