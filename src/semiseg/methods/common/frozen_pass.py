"""A forward pass without a gradient and without a change of the network's state."""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from semiseg.methods.common.batch_norm import batch_statistics


@contextlib.contextmanager
def frozen_pass(network: nn.Module, dropout: bool = False) -> Iterator[None]:
    """Run ``network`` without a gradient and without a change of batch norm's running averages.

    Batch norm uses batch statistics. The modules' modes are restored at the end. The context itself
    draws no random numbers. See `no_gradient` on mixed precision.

    Args:
        network: a teacher, a snapshot, or the student itself.
        dropout: whether dropout and stochastic depth are on, in any mode of ``network``.
    """
    with no_gradient(), batch_statistics(network, dropout=False):
        if dropout:
            network.train()
        yield


@contextlib.contextmanager
def no_gradient() -> Iterator[None]:
    """`torch.no_grad` for a network that may later run with a gradient in the same autocast region.

    Before torch's pull request 165068, autocast kept the weights' casts of a pass without a gradient. A
    later pass reused these casts, and its weights received no gradient (pytorch issues 105211, 112583).
    """
    try:
        with torch.no_grad():
            yield
    finally:
        torch.clear_autocast_cache()
