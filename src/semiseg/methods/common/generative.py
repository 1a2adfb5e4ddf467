"""The generative model of GBDL: a Gaussian latent of an image, and decoders of image and label."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semiseg.methods.common.pseudo_label import soft_pseudo_label
from semiseg.networks.segmenter import Segmenter
from semiseg.networks.stages import CONVOLUTIONS
from semiseg.networks.swin_unet import DropPath

GRID = 4  # sides of a slice of the coarsest map in front of the latent
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


class Generated(NamedTuple):
    """The output for one sample of the latent."""

    logits: Tensor
    """[B, K, ...]."""
    images: Tensor
    """[B, C, ...], the reconstruction."""
    mean: Tensor
    """[B, n, D], m of each of n slices (n = 1 for 2D)."""
    vector: Tensor
    """[B, n, D], v."""


class Generator(nn.Module):
    """q(Z | x), p(x | Z) and p(y | x, Z) (GBDL, Wang and Lukasiewicz 2022).

    The first stream is an autoencoder of images with skip connections, whose coarsest map is decoded
    from Z. The second stream is a segmentation network; its coarsest map is fused with that of Z.
    """

    def __init__(
        self, images: Segmenter, labels: Segmenter, channels: int, latent: int, scale: float
    ) -> None:
        """Args: images, labels: networks of one kind; their dropout and stochastic depth are switched
        off; channels: of an image; latent: D; scale: see `scale_of`.
        """
        super().__init__()
        self.images, self.labels, self.scale = images, labels, scale
        images.head = images.new_head(channels)
        dims, width = images.backbone.dims, images.encoder.out_channels[-1]
        inputs = width * GRID**2
        self.mean, self.vector = nn.Linear(inputs, latent), nn.Linear(inputs, latent)
        with torch.no_grad():  # the divergence grows with |v|^4: long vectors would not train
            self.vector.weight.mul_(0.1)
            self.vector.bias.mul_(0.1)
        self.expand = nn.Linear(latent, inputs)
        self.fuse = CONVOLUTIONS[dims](2 * width, width, 1)
        for module in self.modules():
            if isinstance(module, DROPOUTS):
                module.p = 0.0
            elif isinstance(module, DropPath):
                module.rate = 0.0

    def scale_of(self, mean: Tensor) -> float:
        """Return s for means [B, n, D]: ``scale`` n^(1/2). With 1, Sigma is I for v = 0."""
        return float(self.scale * mean.shape[1] ** 0.5)

    def forward(self, x: Tensor) -> Generated:
        """Draw one sample of the latent per image: [B, C, ...] -> `Generated`."""
        maps = self.images.encode(x)
        mean, vector = self.posterior(maps[-1])
        drawn = self.decode_latent(self.sample(mean, vector), maps[-1])
        reconstruction = self.images.head(self.images.decode([*maps[:-1], drawn])[1])
        logits = self.decode_label(self.labels.encode(x), drawn)
        return Generated(logits, reconstruction, mean, vector)

    def mean_label(self, x: Tensor, samples: int) -> Tensor:
        """Return the mean softmax of ``samples`` generated labels: [B, C, ...] -> [B, K, ...].

        Encoders run once. Detached.
        """
        coarsest = self.images.encode(x)[-1]
        mean, vector = self.posterior(coarsest)
        maps = self.labels.encode(x)
        drawn = (self.decode_latent(self.sample(mean, vector), coarsest) for _ in range(samples))
        first, *rest = (soft_pseudo_label(self.decode_label(maps, z)) for z in drawn)
        return sum(rest, start=first) / samples

    def posterior(self, coarsest: Tensor) -> tuple[Tensor, Tensor]:
        """Return m and v, [B, n, D] each, of the coarsest map [B, W, (n,) h, w]."""
        volume = coarsest if coarsest.ndim == 5 else coarsest[:, :, None]
        slices = F.adaptive_avg_pool2d(volume.transpose(1, 2).flatten(0, 1), GRID).flatten(1)
        shape = (len(volume), volume.shape[2], -1)
        return self.mean(slices).view(shape), self.vector(slices).view(shape)

    def sample(self, mean: Tensor, vector: Tensor) -> Tensor:
        """Return z = m + (v v^T + s I) e with e ~ N(0, I): [B, n, D]."""
        noise = torch.randn_like(mean)
        along = (vector * noise).sum(2, keepdim=True)
        return mean + self.scale_of(mean) * noise + vector * along

    def decode_latent(self, z: Tensor, like: Tensor) -> Tensor:
        """Return the coarsest map of z [B, n, D], with the shape of ``like``."""
        grid = self.expand(z).unflatten(2, (-1, GRID, GRID))  # [B, n, W, 4, 4]
        flat = grid.flatten(0, 1)
        sides = like.shape[-2:]
        resized = F.interpolate(flat, sides, mode="bilinear", align_corners=False)
        return resized.unflatten(0, z.shape[:2]).transpose(1, 2).reshape(like.shape)

    def decode_label(self, maps: list[Tensor], drawn: Tensor) -> Tensor:
        """Return the logits of the second stream's encoder maps and the coarsest map of Z."""
        fused = self.fuse(torch.cat([maps[-1], drawn], 1))
        return self.labels.classify(self.labels.decode([*maps[:-1], fused]))
