"""The entropy of a prediction, as a measure of its uncertainty."""

import torch
from torch import Tensor

from semiseg.losses.precision import at_least_single


def entropy(probabilities: Tensor) -> Tensor:
    """Return ``-sum_k p_k ln p_k`` in nats: [B, K, ...] -> [B, ...], between 0 and ln K.

    0 ln 0 is 0, with gradient 0.
    """
    p = at_least_single(probabilities)
    return torch.special.entr(p.clamp(min=torch.finfo(p.dtype).tiny)).sum(1)
