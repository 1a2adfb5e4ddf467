"""Further decoders on the encoder of a network, each with a head."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from torch import Tensor, nn

from semiseg.networks.backbone import Stages
from semiseg.networks.segmenter import Segmenter


class AuxiliaryDecoders(nn.Module):
    """Decoders with weights of their own that share the encoder of a network.

    Attributes:
        decoders: the decoders.
        heads: the head of each decoder.
    """

    def __init__(
        self, network: Segmenter, classes: int, changes: Sequence[Mapping[str, Any]]
    ) -> None:
        """Args: classes: K; changes: for each decoder, options of the network's configuration that
        differ (see `Segmenter.new_decoder`).
        """
        super().__init__()
        self.decoders = nn.ModuleList(network.new_decoder(**change) for change in changes)
        self.heads = nn.ModuleList(network.new_head(classes) for _ in changes)

    def forward(self, network: Segmenter, maps: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """Return the logits [B, K, ...] of each decoder.

        Args:
            network: the network whose encoder is shared.
            maps: for each decoder, the encoder's maps that it sees, fine to coarse.
        """
        return [
            head(network.decode(seen, cast(Stages, decoder))[1])
            for seen, decoder, head in zip(maps, self.decoders, self.heads, strict=True)
        ]
