"""Soft Dice, and the usual supervised loss: half cross entropy, half Dice."""

from torch import Tensor

from semiseg.data.task import IGNORE_INDEX
from semiseg.losses.ignore import cross_entropy, one_hot
from semiseg.losses.precision import at_least_single


def dice_loss(
    probabilities: Tensor, target: Tensor, smooth: float = 1e-5, background: bool = True
) -> Tensor:
    """Soft Dice with squared denominators, mean over classes.

    ``1/K sum_k [1 - (2 sum p_k t_k + s) / (sum p_k^2 + sum t_k^2 + s)]``, where the inner sums run
    over batch and pixels (MCSC, ``L_dice`` of equation 1; Milletari et al. 2016 for the squares).
    Ignored pixels are left out.

    Args:
        probabilities: [B, K, ...] after the softmax.
        target: [B, ...] int64 class codes or ``IGNORE_INDEX``.
        smooth: s.
        background: whether the mean includes class 0.

    Returns:
        A scalar.
    """
    classes = probabilities.shape[1]
    truth = one_hot(target, classes, probabilities.dtype)
    probabilities = probabilities.masked_fill((target == IGNORE_INDEX).unsqueeze(1), 0)
    dims = [0, *range(2, probabilities.ndim)]
    overlap = (probabilities * truth).sum(dims)
    size = (probabilities * probabilities).sum(dims) + truth.sum(dims)
    losses = 1 - (2 * overlap + smooth) / (size + smooth)
    return (losses if background else losses[1:]).mean()


def supervised_loss(logits: Tensor, target: Tensor, background: bool = True) -> Tensor:
    """Return ``0.5 (CE + Dice)``: MCSC, section 3.1; Zhao et al. 2022, equation 4.

    Args:
        logits: [B, K, ...].
        target: [B, ...] int64 class codes or ``IGNORE_INDEX``.
        background: whether the Dice loss includes class 0. A network with one sigmoid channel
            (Zhao et al.) has no background channel.
    """
    logits = at_least_single(logits)
    dice = dice_loss(logits.softmax(1), target, background=background)
    return 0.5 * (cross_entropy(logits, target) + dice)
