"""What a network must provide: an encoder, a decoder, and a section of the configuration."""

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

from pydantic import Field
from torch import Tensor, nn

from semiseg.strict import Strict


class NetworkConfig(Strict):
    """The options of every network. A network's configuration inherits them."""

    head_kernel: Literal[1, 3] = Field(3, description="kernel size of the head's convolution")
    sigmoid: bool = Field(False, description="whether two classes share one channel of the head")
    learning_rate_scale: float = Field(1.0, gt=0, description="factor of training.learning_rate")
    encoder_learning_rate_scale: float = Field(
        1.0, gt=0, description="further factor of the encoder's learning rate"
    )
    warmup: float = Field(0.0, ge=0, lt=1, description="linear warm-up, as a fraction of the run")


class Stages(nn.Module):
    """An encoder or a decoder, with attributes that describe its maps.

    Attributes:
        out_channels: the number of channels of each map.
        reductions: the factor by which each map is smaller than the input (1: full resolution; in
            3D along the axes with the shortest voxel sides).
    """

    out_channels: tuple[int, ...]
    reductions: tuple[int, ...]


class Backbone(nn.Module):
    """A network without its head.

    The encoder takes an image [B, C, (D,) H, W] and returns maps from fine to coarse. The decoder
    takes these maps and returns maps from coarse to fine; the last one has the full resolution.

    Attributes:
        Config: the type of the network's section of the configuration.
        dims: 2 or 3.
        notes: sentences for the user, such as which weights were loaded.
    """

    Config: ClassVar[type[NetworkConfig]]
    dims: int
    encoder: Stages
    decoder: Stages
    notes: Sequence[str] = ()

    @classmethod
    def check_sides(
        cls, config: NetworkConfig, sides: Sequence[int], spacing: Sequence[float]
    ) -> None:
        """Check that an input of ``sides`` fits.

        Args:
            config: an instance of ``Config``.
            sides: sides of the input in pixels or voxels, one per axis.
            spacing: sides of a pixel or voxel, one per axis.

        Raises:
            UserError: if it does not fit; the message names sides that fit.
        """

    @classmethod
    def depth(cls, config: NetworkConfig, sides: Sequence[int]) -> tuple[str, object, str] | None:
        """Return option, value and reason of the depth, to show them to the user, or None."""
        return None

    @classmethod
    def create(
        cls, channels: int, config: NetworkConfig, sides: Sequence[int], spacing: Sequence[float]
    ) -> Self:
        """Build the network for inputs with ``channels``; other arguments: see `check_sides`.

        Raises:
            UserError: if an option does not fit the input.
        """
        raise NotImplementedError

    @classmethod
    def downloads(cls, config: NetworkConfig) -> Sequence[str]:
        """Return the addresses of weights that `create` will download, with size and place."""
        return ()

    def new_decoder(self, **changes: object) -> Stages:
        """Build another decoder for the same encoder, with its own weights.

        Args:
            changes: options of the network's configuration that differ for this decoder.
        """
        raise NotImplementedError

    def use_scales(self, scales: Sequence[int]) -> None:
        """Freeze parameters that do not affect any map of ``scales`` (reductions)."""

    @property
    def out_channels(self) -> tuple[int, ...]:
        """The number of channels of the decoder's maps, coarse to fine."""
        return self.decoder.out_channels

    @property
    def reductions(self) -> tuple[int, ...]:
        """The factors by which the decoder's maps are smaller than the input, coarse to fine."""
        return self.decoder.reductions

    def features(self, x: Tensor) -> list[Tensor]:
        """[B, C, (D,) H, W] -> the decoder's maps, coarse to fine."""
        maps: list[Tensor] = self.decoder(self.encoder(x))
        return maps
