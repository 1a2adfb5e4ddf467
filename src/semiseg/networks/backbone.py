"""What a network must provide: an encoder, a decoder, and a section of the configuration."""

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

from pydantic import Field
from torch import Tensor, nn

from semiseg.config import Strict


class NetworkConfig(Strict):
    """The options that every network has; a network's own configuration inherits them."""

    head_kernel: Literal[1, 3] = Field(3, description="side of the head's convolution")
    sigmoid: bool = Field(False, description="two classes share one channel of the head")
    learning_rate_scale: float = Field(1.0, gt=0, description="times training.learning_rate")
    warmup: float = Field(0.0, ge=0, lt=1, description="linear, as a part of the run")


class Stages(nn.Module):
    """An encoder or a decoder. It announces the maps that it returns.

    Attributes:
        out_channels: the number of channels of each map.
        reductions: how many times smaller each map is than the input (1: full resolution; in 3D
            along the axes of the shortest voxels).
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
        notes: sentences for the person, such as which weights were loaded.
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
            config: of the class's own type.
            sides: of the input in pixels or voxels, one per axis.
            spacing: the sides of a pixel or voxel, one per axis.

        Raises:
            UserError: naming sides that fit.
        """

    @classmethod
    def depth(cls, config: NetworkConfig, sides: Sequence[int]) -> tuple[str, object, str] | None:
        """What the person is told of the network's depth: option, value and reason; None: nothing."""
        return None

    @classmethod
    def create(
        cls, channels: int, config: NetworkConfig, sides: Sequence[int], spacing: Sequence[float]
    ) -> Self:
        """Build the network for inputs with ``channels``; other arguments as of `check_sides`.

        Raises:
            UserError: where an option does not fit the input.
        """
        raise NotImplementedError

    def new_decoder(self, **changes: object) -> Stages:
        """Another decoder for the same encoder, with weights of its own.

        Args:
            changes: options of the network's configuration that differ for this decoder.
        """
        raise NotImplementedError

    def use_scales(self, scales: Sequence[int]) -> None:
        """Freeze the parameters that no map of ``scales`` (reductions) depends on."""

    @property
    def out_channels(self) -> tuple[int, ...]:
        """The number of channels of the decoder's maps, coarse to fine."""
        return self.decoder.out_channels

    @property
    def reductions(self) -> tuple[int, ...]:
        """How many times smaller the decoder's maps are than the input, coarse to fine."""
        return self.decoder.reductions

    def features(self, x: Tensor) -> list[Tensor]:
        """[B, C, (D,) H, W] -> the decoder's maps, coarse to fine."""
        maps: list[Tensor] = self.decoder(self.encoder(x))
        return maps
