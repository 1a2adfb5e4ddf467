"""How far two predictions of the same pixels are apart: squared error and divergences of softmaxes.

All functions take probabilities [B, K, ...], not logits, since a target often is a mean or a mixture of
softmaxes. The gradient reaches both arguments: detach the one that is the target. ``mask`` is a boolean
mask or weights [B, ...] (see `semiseg.losses.masked_mean`).
"""

import torch
from torch import Tensor

from semiseg.losses.masked_mean import masked_mean
from semiseg.losses.precision import at_least_single


def softmax_mse(p: Tensor, q: Tensor, mask: Tensor | None = None) -> Tensor:
    """``1/K sum_k (p_k - q_k)^2``, mean over pixels (Tarvainen and Valpola 2017).

    Args:
        p: [B, K, ...] probabilities.
        q: as ``p``.
        mask: [B, ...] of the pixels that count.

    Returns:
        A scalar.
    """
    return masked_mean((at_least_single(p) - at_least_single(q)).square(), mask)


def kl_per_pixel(p: Tensor, q: Tensor) -> Tensor:
    """``KL(p || q) = sum_k p_k (ln p_k - ln q_k)``: [B, K, ...] -> [B, ...], in nats.

    Logarithms are taken of the smallest positive number at least, so that 0 ln 0 is 0 and a q_k of 0 costs
    a finite amount. The variance of URPC (Luo et al. 2021) with p the mean prediction.
    """
    p, q = at_least_single(p), at_least_single(q)
    return (p * (_log(p) - _log(q))).sum(1)


def kl_divergence(p: Tensor, q: Tensor, mask: Tensor | None = None) -> Tensor:
    """`kl_per_pixel`, mean over the pixels of ``mask``.

    Args:
        p: [B, K, ...] probabilities, the target.
        q: [B, K, ...] probabilities, the approximation.
        mask: [B, ...] of the pixels that count.

    Returns:
        A scalar.
    """
    return masked_mean(kl_per_pixel(p, q), mask)


def js_divergence(p: Tensor, q: Tensor, mask: Tensor | None = None) -> Tensor:
    """``JS(p, q) = (KL(p || m) + KL(q || m)) / 2`` with m = (p + q) / 2, mean over pixels.

    Between 0 and ln 2. Deep co-training (Qiao et al. 2018): H(m) - (H(p) + H(q)) / 2.

    Args:
        p: [B, K, ...] probabilities.
        q: as ``p``.
        mask: [B, ...] of the pixels that count.

    Returns:
        A scalar.
    """
    middle = (at_least_single(p) + at_least_single(q)) / 2
    return masked_mean((kl_per_pixel(p, middle) + kl_per_pixel(q, middle)) / 2, mask)


def _log(p: Tensor) -> Tensor:
    return p.clamp(min=torch.finfo(p.dtype).tiny).log()
