"""The batch of a training step."""

import dataclasses

import torch


@dataclasses.dataclass  # not frozen: mixed precision in Fabric rebuilds it field by field
class Batch:
    """Labelled images, followed by unlabelled ones.

    Attributes:
        images: [B, C, H, W] float32.
        labels: [L, H, W] int64 class codes of the first L images, or ``IGNORE_INDEX``.
        distance_maps: [L, K - 1, H, W] float32, signed distances of ``labels`` (see
            `semiseg.data.distance_maps`); None unless the method uses them.
    """

    images: torch.Tensor
    labels: torch.Tensor
    distance_maps: torch.Tensor | None = None

    @property
    def labelled(self) -> int:
        """L, the number of labelled images."""
        return self.labels.shape[0]

    @property
    def unlabelled(self) -> int:
        """The number of unlabelled images."""
        return self.images.shape[0] - self.labels.shape[0]

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""
        maps = self.distance_maps
        return Batch(
            self.images.to(device, non_blocking=True),
            self.labels.to(device, non_blocking=True),
            None if maps is None else maps.to(device, non_blocking=True),
        )
