"""Pseudo-labels: predictions without a gradient, as targets of another pass.

A hard pseudo-label is a label map like the truth: ``IGNORE_INDEX`` marks pixels without a target, and the
losses of `semiseg.losses` skip these.
"""

import torch
from torch import Tensor, nn

from semiseg.data.task import IGNORE_INDEX
from semiseg.losses.precision import at_least_single
from semiseg.methods.common.frozen_pass import frozen_pass


def predict_probabilities(network: nn.Module, images: Tensor, dropout: bool = False) -> Tensor:
    """The softmax of ``network`` in a `frozen_pass`: [B, C, ...] -> [B, K, ...].

    Args:
        network: returns logits [B, K, ...].
        images: [B, C, ...].
        dropout: whether dropout is on.
    """
    with frozen_pass(network, dropout):
        return soft_pseudo_label(network(images))


def soft_pseudo_label(logits: Tensor) -> Tensor:
    """The softmax of logits [B, K, ...], detached, in single precision at least."""
    return at_least_single(logits.detach()).softmax(1)


def hard_pseudo_label(scores: Tensor) -> Tensor:
    """The class [B, ...] int64 of the largest of [B, K, ...] logits or probabilities, detached."""
    return scores.detach().argmax(1)


def confidence_mask(probabilities: Tensor, threshold: float) -> Tensor:
    """[B, K, ...] -> [B, ...] bool: where the largest probability reaches ``threshold``.

    FixMatch (Sohn et al. 2020), equation 4: ``max(q_b) >= tau``.
    """
    return probabilities.detach().amax(1) >= threshold


def ignore_outside(pseudo_label: Tensor, mask: Tensor) -> Tensor:
    """``pseudo_label`` [B, ...] with ``IGNORE_INDEX`` where ``mask`` [B, ...] is false.

    `semiseg.losses.ignore.cross_entropy` then divides by the pixels within the mask. FixMatch and UniMatch
    divide by all pixels: multiply by ``mask.float().mean()`` for their loss.
    """
    return pseudo_label.masked_fill(~mask, IGNORE_INDEX)


def sharpen(probabilities: Tensor, temperature: float) -> Tensor:
    """``p_k^(1/T) / sum_j p_j^(1/T)`` (MixMatch, equation 7; MC-Net).

    Finite for any temperature above 0: the largest probability is divided out first. Differentiable.

    Args:
        probabilities: [B, K, ...].
        temperature: T; below 1 sharpens, 1 keeps.
    """
    p = at_least_single(probabilities)
    powers = (p / p.detach().amax(1, keepdim=True)).pow(1 / temperature)
    return powers / powers.sum(1, keepdim=True)


def entropy(probabilities: Tensor) -> Tensor:
    """``-sum_k p_k ln p_k``, in nats: [B, K, ...] -> [B, ...], between 0 and ln K.

    0 ln 0 is 0, and its gradient is finite (0).
    """
    p = at_least_single(probabilities)
    return torch.special.entr(p.clamp(min=torch.finfo(p.dtype).tiny)).sum(1)
