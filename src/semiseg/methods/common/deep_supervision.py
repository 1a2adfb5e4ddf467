"""Deep supervision: heads on coarser maps of a network's decoder, which learn from coarser labels.

Lee et al., Deeply-supervised nets (AISTATS 2015). The weights are those of nnU-Net (Isensee et al., Nature
Methods 2021): they halve with each map and add up to 1. Only training uses these heads.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from semiseg.errors import UserError
from semiseg.methods.base import NetworkOptions
from semiseg.networks.segmenter import Segmenter
from semiseg.text import plural


class DeepSupervisionOptions(NetworkOptions):
    """Options of methods with deep supervision."""

    deep_supervision: int = Field(
        0,
        ge=0,
        le=16,
        description="number of coarser maps of the decoder that learn from labels too; the weights of "
        "their losses halve with each",
    )


class DeepSupervision(nn.Module):
    """Heads on the maps of a network after that of full resolution, from fine to coarse.

    Without heads it has no parameters and draws no random numbers.
    """

    def __init__(self, network: Segmenter, classes: int, count: int, option: str) -> None:
        """Args: classes: K; count: number of heads; option: its name, for messages.

        Raises:
            UserError: if the decoder has fewer coarser maps.
        """
        super().__init__()
        scales = sorted(network.out_channels)[1:]
        if count > len(scales):
            raise UserError(
                f"{option}={count}: the decoder of this network has {plural(len(scales), 'coarser map')}: "
                f"use at most {len(scales)}."
            )
        self.heads = nn.ModuleDict(
            {str(scale): network.new_head(classes, scale) for scale in scales[:count]}
        )

    def forward(self, features: Mapping[int, Tensor]) -> list[Tensor]:
        """Return the logits [B, K, ...] of each head at the size of its map; ``features``: by reduction."""
        return [head(features[int(scale)]) for scale, head in self.heads.items()]


def deep_loss(
    outputs: Sequence[Tensor], target: Tensor, loss: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Return ``sum_i 2^-i loss(y_i, t_i) / sum_i 2^-i``.

    Args:
        outputs: logits y_i [B, K, ...] from fine to coarse; y_0 has full resolution.
        target: [B, ...] int64 class codes or ``IGNORE_INDEX``, or probabilities [B, K, ...]. t_i is its
            nearest pixels at the size of y_i.
        loss: of logits and a target of the same size.
    """
    total = loss(outputs[0], target)
    if len(outputs) == 1:
        return total
    weights = [2.0**-index for index in range(len(outputs))]
    for weight, logits in zip(weights[1:], outputs[1:], strict=True):
        total = total + weight * loss(logits, reduced(target, logits.shape[2:]))
    return total / sum(weights)


def reduced(target: Tensor, sides: Sequence[int]) -> Tensor:
    """Take the nearest pixels of class codes [B, ...] or probabilities [B, K, ...] for a smaller image."""
    if target.is_floating_point():
        return F.interpolate(target, tuple(sides), mode="nearest-exact")
    codes = F.interpolate(target[:, None].to(torch.uint8), tuple(sides), mode="nearest-exact")
    return codes[:, 0].to(target.dtype)
