"""Gradient reversal for adversarial losses (Ganin and Lempitsky, ICML 2015).

The discriminator minimises its loss. Layers before `reverse_gradient` receive the opposite gradient, so
they maximise the same loss. One optimiser and one backward pass suffice:

    features = reverse_gradient(student_output, weight)
    logit = self.discriminator(features)                              # [B]
    labelled = torch.arange(len(logit), device=logit.device) < batch.labelled
    terms["adversarial"] = F.binary_cross_entropy_with_logits(logit, labelled.float())

``weight`` scales the student's gradient only; the discriminator's gradient is not scaled. Give the
discriminator its own parameter group to set its learning rate.
"""

from typing import Any

import torch
from torch import Tensor


class _ReverseGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        return -ctx.weight * upstream, None


def reverse_gradient(x: Tensor, weight: float = 1.0) -> Tensor:
    """Return ``x``; multiply its gradient by ``-weight`` (the paper's lambda)."""
    reversed_: Tensor = _ReverseGradient.apply(x, weight)
    return reversed_
