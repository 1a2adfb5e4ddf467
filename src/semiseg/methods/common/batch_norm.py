"""Batch norm in batches of labelled and unlabelled images, and in auxiliary forward passes."""

import contextlib
from collections.abc import Callable, Iterator
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
    return run_parts(network.features, network, images, labelled, batch_norm)


def run_parts(
    run: Callable[[Tensor], dict[int, Tensor]],
    module: nn.Module,
    images: Tensor,
    labelled: int,
    batch_norm: BatchNorm,
) -> dict[int, Tensor]:
    """Run several decoders or heads on images [B, C, ...] in one pass or two, as `features_of` does.

    Args:
        run: images [b, C, ...] -> tensors [b, ...] by key.
        module: contains all modules with batch norm that ``run`` uses.
        images: [B, C, ...].
        labelled: number of images, the first ones, that have labels.
        batch_norm: see `features_of`.
    """
    if (
        batch_norm == "together"
        or labelled in (0, len(images))
        or not any(isinstance(m, _BatchNorm) for m in module.modules())
    ):
        return run(images)
    found = run(images[:labelled])
    with batch_statistics(module):
        others = run(images[labelled:])
    return {key: torch.cat([found[key], others[key]]) for key in found}


def maps_of(
    network: Segmenter, images: Tensor, labelled: int, batch_norm: BatchNorm
) -> tuple[list[Tensor], dict[int, Tensor]]:
    """Return the encoder's maps, fine to coarse, and the decoder's maps by reduction.

    For a method with several decoders on one encoder; see `features_of`.
    """

    def run(x: Tensor) -> dict[int, Tensor]:
        encoded = network.encode(x)
        return {-1 - index: each for index, each in enumerate(encoded)} | network.decode(encoded)

    found = run_parts(run, network, images, labelled, batch_norm)
    count = sum(key < 0 for key in found)
    return [found.pop(-1 - index) for index in range(count)], found


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
