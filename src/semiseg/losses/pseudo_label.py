"""Dice with pseudo-labels over a confidence mask."""

from torch import Tensor

from semiseg.losses.dice import dice_loss
from semiseg.losses.precision import at_least_single


def pseudo_label_dice(logits: Tensor, pseudo_label: Tensor) -> Tensor:
    """Dice of a prediction with a pseudo-label, over the pixels that have one (UniMatch, AD-MT).

    ``1/K sum_k [1 - (2 sum m p_k t_k + s) / (sum m p_k^2 + sum m t_k^2 + s)]``, where m is 0 at ignored
    pixels and the inner sums run over batch and pixels. 0 if all pixels are ignored.

    Args:
        logits: [B, K, ...].
        pseudo_label: [B, ...] int64 class codes, or ``IGNORE_INDEX`` outside the mask.

    Returns:
        A scalar.
    """
    return dice_loss(at_least_single(logits).softmax(1), pseudo_label)
