"""Uncertainty by Monte Carlo dropout (Gal and Ghahramani 2016), as UA-MT uses it."""

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from torch import Tensor, nn

from semiseg.methods.common.frozen_pass import frozen_pass
from semiseg.methods.common.input_noise import input_noise
from semiseg.methods.common.pseudo_label import entropy, soft_pseudo_label

T = TypeVar("T")


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

    Args:
        network: returns logits [B, K, ...].
        images: [B, C, ...].
        passes: see `noisy_passes`, as the other arguments.
        noise: standard deviation of the noise.
        limit: largest absolute value of the noise.

    Raises:
        ValueError: if ``passes`` is less than 1.
    """
    total: Tensor | float = 0.0
    for logits in noisy_passes(network, network, images, passes, noise, limit):
        total = total + soft_pseudo_label(logits)
    assert isinstance(total, Tensor)
    mean = total / passes
    return MonteCarlo(mean, entropy(mean))


def noisy_passes(
    network: nn.Module,
    run: Callable[[Tensor], T],
    images: Tensor,
    passes: int = 8,
    noise: float = 0.1,
    limit: float = 0.2,
) -> Iterator[T]:
    """Yield the outputs of ``passes`` passes with dropout and noise on the images.

    There is no gradient, and batch norm's running averages do not change (see `frozen_pass`). Passes run
    one at a time, so memory does not grow with ``passes`` unless the caller keeps the outputs.

    Args:
        network: contains all modules that ``run`` uses.
        run: images [B, C, ...] -> an output, such as ``network`` itself.
        images: [B, C, ...].
        passes: T, at least 1.
        noise: standard deviation of the noise (see `input_noise`); 0 for none.
        limit: largest absolute value of the noise.

    Raises:
        ValueError: if ``passes`` is less than 1.
    """
    if passes < 1:
        raise ValueError(f"passes must be at least 1, got {passes}")
    for _ in range(passes):
        # the context ends before the caller's code runs, which may need a gradient
        with frozen_pass(network, dropout=True):
            output = run(input_noise(images, noise, limit) if noise else images)
        yield output
