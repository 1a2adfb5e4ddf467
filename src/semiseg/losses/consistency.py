"""Consistency losses: squared error and divergences of two predictions of the same pixels.

All functions take probabilities [B, K, ...], not logits, because a target is often a mean or a mixture of
probabilities. Both arguments receive a gradient: detach the target. ``mask`` is a boolean mask or weights
[B, ...] (see `semiseg.losses.masked_mean`).
"""

import torch
from torch import Tensor

from semiseg.losses.masked_mean import masked_mean
from semiseg.losses.precision import at_least_single


def softmax_mse(p: Tensor, q: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return ``1/K sum_k (p_k - q_k)^2``, mean over pixels (Tarvainen and Valpola 2017).

    Args:
        p: [B, K, ...] probabilities.
        q: as ``p``.
        mask: [B, ...], pixels or weights to average over; None: all pixels.

    Returns:
        A scalar.
    """
    return masked_mean((at_least_single(p) - at_least_single(q)).square(), mask)


def kl_per_pixel(p: Tensor, q: Tensor) -> Tensor:
    """Return ``KL(p || q) = sum_k p_k (ln p_k - ln q_k)`` in nats: [B, K, ...] -> [B, ...].

    Arguments of logarithms are clamped to the smallest positive number, so 0 ln 0 is 0 and the result is
    finite for q_k = 0. If q is the mean prediction, this is the variance of URPC (Luo et al. 2021).
    """
    p, q = at_least_single(p), at_least_single(q)
    return (p * (_log(p) - _log(q))).sum(1)


def kl_divergence(p: Tensor, q: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the mean of `kl_per_pixel` over the pixels of ``mask``.

    Args:
        p: [B, K, ...] probabilities, the target.
        q: [B, K, ...] probabilities, the approximation.
        mask: [B, ...], pixels or weights to average over; None: all pixels.

    Returns:
        A scalar.
    """
    return masked_mean(kl_per_pixel(p, q), mask)


def js_divergence(p: Tensor, q: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return ``JS(p, q) = (KL(p || m) + KL(q || m)) / 2`` with m = (p + q) / 2, mean over pixels.

    Between 0 and ln 2. Equal to H(m) - (H(p) + H(q)) / 2 of deep co-training (Qiao et al. 2018).

    Args:
        p: [B, K, ...] probabilities.
        q: as ``p``.
        mask: [B, ...], pixels or weights to average over; None: all pixels.

    Returns:
        A scalar.
    """
    middle = (at_least_single(p) + at_least_single(q)) / 2
    return masked_mean((kl_per_pixel(p, middle) + kl_per_pixel(q, middle)) / 2, mask)


def _log(p: Tensor) -> Tensor:
    return p.clamp(min=torch.finfo(p.dtype).tiny).log()
