"""Batch norm in batches of labelled and unlabelled images, and in auxiliary forward passes."""

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
    """Return the maps of images [B, C, ...], of which the first ``labelled`` have labels.

    ``together``: one pass with shared statistics. A network that overfits the labelled images can
    then separate them from the unlabelled ones in feature space. ``apart``: each part is normalised
    by its own statistics, and only those of the labelled images update the running averages. Without
    batch norm both are equal, and there is one pass.
    """
    return maps_of(network, images, labelled, batch_norm)[1]


def maps_of(
    network: Segmenter, images: Tensor, labelled: int, batch_norm: BatchNorm
) -> tuple[list[Tensor], dict[int, Tensor]]:
    """Return the encoder's maps, fine to coarse, and the decoder's maps by reduction.

    For a method with several decoders on one encoder; see `features_of`.
    """
    if (
        batch_norm == "together"
        or labelled in (0, len(images))
        or not any(isinstance(m, _BatchNorm) for m in network.modules())
    ):
        encoded = network.encode(images)
        return encoded, network.decode(encoded)
    encoded = network.encode(images[:labelled])
    decoded = network.decode(encoded)
    with batch_statistics(network):
        others = network.encode(images[labelled:])
        decoded_others = network.decode(others)
    return (
        [torch.cat(pair) for pair in zip(encoded, others, strict=True)],
        {key: torch.cat([decoded[key], decoded_others[key]]) for key in decoded},
    )


@contextlib.contextmanager
def batch_statistics(module: nn.Module, dropout: bool = True) -> Iterator[None]:
    """Normalise by batch statistics without updating the running averages.

    Use it for patches, crops and teachers. Their statistics differ from those of the full images that
    the network is used on. For unlabelled images see `features_of`.

    Args:
        module: a network, or a part of one.
        dropout: whether dropout follows the module's mode; false: no dropout.
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
