"""Adversarial terms as one loss under one optimiser (Ganin and Lempitsky, ICML 2015).

The discriminator minimises its loss. What stands before `reverse_gradient` gets the opposite gradient, so
it maximises the same loss. Neither two optimisers nor two backward passes are needed:

    features = reverse_gradient(student_output, weight)
    logit = self.discriminator(features)                              # [B]
    labelled = torch.arange(len(logit), device=logit.device) < batch.labelled
    terms["adversarial"] = F.binary_cross_entropy_with_logits(logit, labelled.float())

``weight`` scales the student's part alone; the discriminator always learns at full weight. Its learning
rate is that of its own parameter group.
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
    """``x`` itself; its gradient is multiplied by ``-weight`` (their lambda)."""
    reversed_: Tensor = _ReverseGradient.apply(x, weight)
    return reversed_
