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
    draws no random numbers.

    Args:
        network: a teacher, a snapshot, or the student itself.
        dropout: whether dropout and stochastic depth are on, in any mode of ``network``.
    """
    with torch.no_grad(), batch_statistics(network, dropout=False):
        if dropout:
            network.train()
        yield
