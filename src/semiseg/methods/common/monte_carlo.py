"""Uncertainty by Monte Carlo dropout (Gal and Ghahramani 2016), as UA-MT uses it."""

from typing import NamedTuple

from torch import Tensor, nn

from semiseg.methods.common.frozen_pass import frozen_pass
from semiseg.methods.common.input_noise import input_noise
from semiseg.methods.common.pseudo_label import entropy, soft_pseudo_label


class MonteCarlo(NamedTuple):
    """The mean prediction of several stochastic passes and its entropy."""

    probabilities: Tensor
    """[B, K, ...]: mu_c, the mean of the passes' probabilities."""
    entropy: Tensor
    """[B, ...]: u = -sum_c mu_c ln mu_c, in nats, between 0 and ln K."""


def monte_carlo(
    network: nn.Module, images: Tensor, passes: int = 8, noise: float = 0.1, limit: float = 0.2
) -> MonteCarlo:
    """Average ``passes`` predictions with dropout and noise on the images (UA-MT, Yu et al. 2019).

    There is no gradient, and batch norm's running averages do not change (see `frozen_pass`). Passes run
    one at a time, so memory does not grow with ``passes``.

    Args:
        network: returns logits [B, K, ...].
        images: [B, C, ...].
        passes: T, at least 1.
        noise: standard deviation of the noise (see `input_noise`); 0 for none.
        limit: largest absolute value of the noise.

    Raises:
        ValueError: if ``passes`` is less than 1.
    """
    total: Tensor | None = None
    with frozen_pass(network, dropout=True):
        for _ in range(passes):
            seen = input_noise(images, noise, limit) if noise else images
            probabilities = soft_pseudo_label(network(seen))
            total = probabilities if total is None else total + probabilities
        if total is None:
            raise ValueError(f"passes must be at least 1, got {passes}")
        mean = total / passes
        return MonteCarlo(mean, entropy(mean))
