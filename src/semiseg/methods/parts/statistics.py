"""Batch norm in a forward pass that is not the network's main one."""

import contextlib
from collections.abc import Iterator

from torch import nn


@contextlib.contextmanager
def batch_statistics(module: nn.Module, dropout: bool = True) -> Iterator[None]:
    """Normalise by the batch at hand and leave the running averages as they are.

    For patches, crops and teachers: their statistics are not those of the full images that the
    network is used on, so they must not reach its averages; and averages are not those of patches.
    ``dropout``: as the module's mode has it; false: none.
    """
    modes = {m: m.training for m in module.modules()}
    norms = {
        m: m.track_running_stats for m in modes if isinstance(m, nn.modules.batchnorm._BatchNorm)
    }
    try:
        if not dropout:
            module.eval()
        for norm in norms:
            norm.training, norm.track_running_stats = True, False
        yield
    finally:
        for norm, tracked in norms.items():
            norm.track_running_stats = tracked
        for m, training in modes.items():
            m.training = training
