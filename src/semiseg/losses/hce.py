"""The consistency of HCE with a teacher that may be uncertain (Jin et al., MICCAI 2022)."""

import math

from torch import Tensor

from semiseg.losses.entropy import entropy
from semiseg.losses.masked_mean import masked_mean
from semiseg.losses.precision import at_least_single


def corrected_mse(p: Tensor, q: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return ``1/K sum_k (p_k - t_k)^2`` with ``t = (1 - u) q + u p``, mean over pixels.

    ``u = -sum_k q_k ln q_k / ln K`` is the teacher's uncertainty, between 0 and 1. The less certain the
    teacher, the closer is the target t to the student's own prediction p. The target has a gradient
    through p, so the loss equals ``1/K sum_k (1 - u)^2 (p_k - q_k)^2``.

    Args:
        p: [B, K, ...] probabilities of the student.
        q: [B, K, ...] probabilities of the teacher, detached.
        mask: [B, ...], pixels or weights to average over; None: all pixels.

    Returns:
        A scalar.
    """
    p, q = at_least_single(p), at_least_single(q)
    certainty = (1 - entropy(q) / math.log(q.shape[1])).clamp(min=0)[:, None]
    return masked_mean((certainty * (p - q)).square(), mask)
