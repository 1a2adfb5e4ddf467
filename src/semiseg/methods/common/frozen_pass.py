"""A forward pass that leaves no trace: no gradient, and no change of a network's state."""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from semiseg.methods.common.batch_norm import batch_statistics


@contextlib.contextmanager
def frozen_pass(network: nn.Module, dropout: bool = False) -> Iterator[None]:
    """Run ``network`` without a gradient and without a change of batch norm's running averages.

    Batch norm uses the statistics of the batch at hand. The modules' modes are restored at the end.
    Draws no random numbers of its own.

    Args:
        network: a teacher, a snapshot, or the student itself.
        dropout: false: none; true: dropout and stochastic depth are on, in any mode of ``network``.
    """
    with torch.no_grad(), batch_statistics(network, dropout=False):
        if dropout:
            network.train()
        yield
