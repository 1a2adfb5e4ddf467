"""Optimisers of a method's parameter groups, and learning rates as a function of the step."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from semiseg.config import TrainingConfig
from semiseg.errors import UserError
from semiseg.methods.base import ParameterGroup


def build_optimisers(
    groups: Sequence[ParameterGroup], config: TrainingConfig
) -> list[torch.optim.Optimizer]:
    """Build one optimiser per kind and settings of the groups: SGD with momentum, Adam or AdamW.

    Optimisers are fused: on a CPU the unfused loop over the many small tensors of a Swin-Unet took a
    quarter of a cross-teaching step. With 16-mixed they are not, because gradients of a fused optimiser
    cannot be clipped.

    Raises:
        UserError: for several optimisers with 16-mixed, which scales gradients for one only.
    """
    kinds: dict[tuple[str, str], list[ParameterGroup]] = {}
    for group in groups:
        kind = group.optimiser or config.optimiser
        kinds.setdefault((kind, repr(sorted(group.settings.items()))), []).append(group)
    if len(kinds) > 1 and config.precision == "16-mixed":
        raise UserError(
            "training.precision 16-mixed scales the gradients of one optimiser, and this method has "
            f"{len(kinds)}: use bf16-mixed or 32-true."
        )
    return [_build(kind, members, config) for (kind, _), members in kinds.items()]


def _build(
    kind: str, groups: Sequence[ParameterGroup], config: TrainingConfig
) -> torch.optim.Optimizer:
    parameters = [
        {
            "params": group.parameters,
            "name": group.name,
            "base_lr": (group.learning_rate or config.learning_rate) * group.lr_scale,
            "warmup": max(group.warmup, config.warmup),
        }
        for group in groups
    ]
    own: dict[str, Any] = {
        "lr": config.learning_rate, "weight_decay": config.weight_decay,
        "fused": config.precision != "16-mixed", **groups[0].settings,
    }  # fmt: skip
    if kind == "sgd":
        return torch.optim.SGD(parameters, **{"momentum": config.momentum, **own})
    return (torch.optim.AdamW if kind == "adamw" else torch.optim.Adam)(parameters, **own)


def rate_factor(step: int, total: int, warmup: float, power: float | None) -> float:
    """Return the factor of a group's base learning rate at ``step`` (0 to total - 1).

    Linear from 1/w to 1 over the first w = ``warmup * total`` steps. Over the remaining S steps it is
    (1 - s/S)^power, or, if ``power`` is None, half a cosine, (1 + cos(pi s/S)) / 2.
    """
    rising = round(warmup * total)
    if step < rising:
        return (step + 1) / rising
    part = min((step - rising) / max(total - rising, 1), 1.0)  # timing may take more steps
    return (1 + math.cos(math.pi * part)) / 2 if power is None else float((1 - part) ** power)


def set_rates(
    optimisers: Sequence[torch.optim.Optimizer], step: int, config: TrainingConfig
) -> None:
    """Set the learning rate of every group for ``step``."""
    power = None if config.schedule == "cosine" else config.power
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            factor = rate_factor(step, config.iterations, group["warmup"], power)
            group["lr"] = group["base_lr"] * factor
