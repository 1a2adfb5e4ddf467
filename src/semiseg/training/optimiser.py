"""One optimiser over a method's parameter groups; learning rates are a function of the step."""

import math
from collections.abc import Sequence

import torch

from semiseg.config import TrainingConfig
from semiseg.methods.base import ParameterGroup


def build_optimiser(
    groups: Sequence[ParameterGroup], config: TrainingConfig
) -> torch.optim.Optimizer:
    """SGD with momentum, Adam or AdamW, at each group's own rate.

    Fused into one kernel: on a CPU the loop over a Swin-Unet's hundreds of small tensors was a quarter
    of a cross-teaching step. Not with 16-mixed, whose gradients could then not be clipped.
    """
    parameters = [
        {
            "params": group.parameters,
            "name": group.name,
            "base_lr": config.learning_rate * group.lr_scale,
            "warmup": max(group.warmup, config.warmup),
        }
        for group in groups
    ]
    fused = config.precision != "16-mixed"
    if config.optimiser == "sgd":
        return torch.optim.SGD(
            parameters, lr=config.learning_rate, momentum=config.momentum,
            weight_decay=config.weight_decay, fused=fused,
        )  # fmt: skip
    adam = torch.optim.AdamW if config.optimiser == "adamw" else torch.optim.Adam
    return adam(parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=fused)


def rate_factor(step: int, total: int, warmup: float, power: float | None) -> float:
    """The part of its base rate that a group has at ``step`` (0 to total - 1).

    Linear from 1/w to 1 over the first w = ``warmup * total`` steps; over the S steps that remain
    (1 - s/S)^power, or half a cosine, (1 + cos(pi s/S)) / 2, where ``power`` is None.
    """
    rising = round(warmup * total)
    if step < rising:
        return (step + 1) / rising
    part = (step - rising) / max(total - rising, 1)
    return (1 + math.cos(math.pi * part)) / 2 if power is None else float((1 - part) ** power)


def set_rates(optimiser: torch.optim.Optimizer, step: int, config: TrainingConfig) -> None:
    """Give every group its rate for ``step``."""
    power = None if config.schedule == "cosine" else config.power
    for group in optimiser.param_groups:
        factor = rate_factor(step, config.iterations, group["warmup"], power)
        group["lr"] = group["base_lr"] * factor
