"""Pseudo-labels: predictions without a gradient, used as targets.

A hard pseudo-label has the form of a label. ``IGNORE_INDEX`` marks pixels without a target, which the
losses of `semiseg.losses` ignore.
"""

import torch
from torch import Tensor, nn

from semiseg.data.task import IGNORE_INDEX
from semiseg.losses.entropy import entropy as entropy  # methods take it from here
from semiseg.losses.precision import at_least_single
from semiseg.methods.common.frozen_pass import frozen_pass


def predict_probabilities(network: nn.Module, images: Tensor, dropout: bool = False) -> Tensor:
    """Return the softmax of ``network`` in a `frozen_pass`: [B, C, ...] -> [B, K, ...].

    Args:
        network: returns logits [B, K, ...].
        images: [B, C, ...].
        dropout: whether dropout is on.
    """
    with frozen_pass(network, dropout):
        return soft_pseudo_label(network(images))


def soft_pseudo_label(logits: Tensor) -> Tensor:
    """Return the softmax of logits [B, K, ...], detached, in at least single precision."""
    return at_least_single(logits.detach()).softmax(1)


def hard_pseudo_label(scores: Tensor) -> Tensor:
    """Return the argmax [B, ...] int64 of logits or probabilities [B, K, ...], detached."""
    return scores.detach().argmax(1)


def confidence_mask(probabilities: Tensor, threshold: float) -> Tensor:
    """[B, K, ...] -> [B, ...] bool: whether the largest probability reaches ``threshold``.

    FixMatch (Sohn et al. 2020), equation 4: ``max(q_b) >= tau``.
    """
    return probabilities.detach().amax(1) >= threshold


def ignore_outside(pseudo_label: Tensor, mask: Tensor) -> Tensor:
    """Set ``pseudo_label`` [B, ...] to ``IGNORE_INDEX`` where ``mask`` [B, ...] is false.

    `semiseg.losses.ignore.cross_entropy` then divides by the number of pixels in the mask. FixMatch and
    UniMatch divide by all pixels: multiply by ``mask.float().mean()`` to get their loss.
    """
    return pseudo_label.masked_fill(~mask, IGNORE_INDEX)


def confident_pseudo_label(probabilities: Tensor, threshold: float) -> Tensor:
    """[B, K, ...] -> the argmax [B, ...]; ``IGNORE_INDEX`` where the largest is below ``threshold``."""
    mask = confidence_mask(probabilities, threshold)
    return ignore_outside(hard_pseudo_label(probabilities), mask)


def sharpen(probabilities: Tensor, temperature: float) -> Tensor:
    """Return ``p_k^(1/T) / sum_j p_j^(1/T)`` (MixMatch, equation 7).

    Probabilities are first divided by the largest, so the result is finite for any temperature above 0.
    Differentiable.

    Args:
        probabilities: [B, K, ...].
        temperature: T; values below 1 sharpen, 1 has no effect.
    """
    p = at_least_single(probabilities)
    powers = (p / p.detach().amax(1, keepdim=True)).pow(1 / temperature)
    return powers / powers.sum(1, keepdim=True)


def sharpen_each_class(probabilities: Tensor, temperature: float) -> Tensor:
    """Return ``p_k^(1/T) / (p_k^(1/T) + (1 - p_k)^(1/T))`` (MC-Net, MC-Net+).

    Each class against all others: with more than two classes, the result does not sum to 1. It is equal
    to `sharpen` for two classes. Computed as ``sigmoid(logit(p_k) / T)``, which is finite for any
    temperature above 0. Differentiable.

    Args:
        probabilities: [B, K, ...].
        temperature: T; values below 1 sharpen, 1 has no effect.
    """
    p = at_least_single(probabilities)
    return (torch.logit(p, eps=torch.finfo(p.dtype).eps) / temperature).sigmoid()
