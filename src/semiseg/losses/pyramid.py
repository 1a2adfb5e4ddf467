"""The uncertainty rectified pyramid consistency of URPC (Luo et al., MICCAI 2021)."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from semiseg.losses.consistency import kl_per_pixel
from semiseg.losses.masked_mean import masked_mean
from semiseg.losses.precision import at_least_single

Divergence = Literal["mean-to-scale", "scale-to-mean"]


def pyramid_consistency(probabilities: Sequence[Tensor], divergence: Divergence) -> Tensor:
    """Return the mean over scales s of ``sum_i e^-v_i d_i / sum_i e^-v_i + mean_i v_i``.

    p is the mean of all p_s. At pixel i, ``d_i = 1/K sum_k (p_k - p_sk)^2``. v_i is KL(p || p_s), as in
    SSL4MIS, or KL(p_s || p), as we remember the paper. No part is detached, so the gradient reaches every
    p_s through p, d and v.

    Args:
        probabilities: p_s, each [B, K, ...] of the same shape.
        divergence: ``mean-to-scale`` for KL(p || p_s), ``scale-to-mean`` for KL(p_s || p).

    Returns:
        A scalar.
    """
    scales = [at_least_single(p) for p in probabilities]
    mean = torch.stack(scales).mean(0)
    losses = []
    for p in scales:
        pair = (mean, p) if divergence == "mean-to-scale" else (p, mean)
        variance = kl_per_pixel(*pair)
        losses.append(masked_mean((mean - p).square(), (-variance).exp()) + variance.mean())
    return torch.stack(losses).mean()
