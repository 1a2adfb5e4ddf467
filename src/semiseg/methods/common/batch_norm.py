"""Batch norm in forward passes that are not the network's main one."""

import contextlib
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from semiseg.networks.segmenter import Segmenter

BatchNorm = Literal["apart", "together"]


def features_of(
    network: Segmenter, images: Tensor, labelled: int, batch_norm: BatchNorm
) -> dict[int, Tensor]:
    """Maps of a batch of images [B, C, ...], of which the first ``labelled`` have labels.

    ``together``: one pass. A network that knows the labelled images by heart may then put them on one
    side of every map and all others on the other, where no label tells it what to find. ``apart``:
    each part has its own statistics, and those of the labelled images alone reach the running
    averages. Without batch norm both are the same, and one pass is made.
    """
    if (
        batch_norm == "together"
        or labelled in (0, len(images))
        or not any(isinstance(m, _BatchNorm) for m in network.modules())
    ):
        return network.features(images)
    features = network.features(images[:labelled])
    with batch_statistics(network):
        others = network.features(images[labelled:])
    return {key: torch.cat([features[key], others[key]]) for key in features}


@contextlib.contextmanager
def batch_statistics(module: nn.Module, dropout: bool = True) -> Iterator[None]:
    """Normalise by the batch at hand and leave the running averages as they are.

    For patches, crops and teachers: their statistics are not those of the full images that the
    network is used on, so they must not reach its averages; and averages are not those of patches.
    For unlabelled images see `features_of`.
    ``dropout``: as the module's mode has it; false: none.
    """
    modes = {m: m.training for m in module.modules()}
    norms = {m: m.track_running_stats for m in modes if isinstance(m, _BatchNorm)}
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
