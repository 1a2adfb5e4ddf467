"""The table of networks. It imports no torch; a class is imported when it is used.

A network in another package appears here through the entry point group ``semiseg.networks``, whose
value is an `Entry`. `semiseg.networks.backbone` states what a network must provide.
"""

import dataclasses
from typing import TYPE_CHECKING

from semiseg.errors import unknown
from semiseg.plugins import load_target, with_plugins

if TYPE_CHECKING:
    from semiseg.networks.backbone import Backbone, NetworkConfig


@dataclasses.dataclass(frozen=True)
class Entry:
    """One network.

    Attributes:
        name: name of the network and of its section of the configuration.
        summary: one line.
        target: ``module:Class`` of the `Backbone`.
        dimensions: 2 for slices and pictures, 3 for volumes.
    """

    name: str
    summary: str
    target: str
    dimensions: tuple[int, ...] = (2,)

    def load(self) -> "type[Backbone]":
        """Import the network's class."""
        cls: type[Backbone] = load_target(self.target)
        return cls

    def config(self) -> "type[NetworkConfig]":
        """Import the type of the network's section of the configuration."""
        return self.load().Config


BUILT_IN = (
    Entry(
        "unet", "U-Net with the channels of the SSL4MIS benchmark", "semiseg.networks.unet:UNet", (2, 3)
    ),
    Entry(
        "encoder-unet", "U-Net on the encoder of an image classifier, pretrained on ImageNet",
        "semiseg.networks.encoder_unet:EncoderUNet",
    ),
    Entry("swin", "Swin-Unet, a Transformer", "semiseg.networks.swin_unet:SwinUnet"),
    Entry("vnet", "V-Net, a residual network for volumes", "semiseg.networks.vnet:VNet", (3,)),
    Entry(
        "batformer", "BATFormer, a thin U-Net with a global and a boundary-aware local transformer",
        "semiseg.networks.batformer:BATFormer",
    ),
    Entry("nnformer", "nnFormer, a transformer for volumes", "semiseg.networks.nnformer:NNFormer", (3,)),
)  # fmt: skip


def table() -> dict[str, Entry]:
    """Return all networks by name, built-in ones first."""
    return with_plugins(BUILT_IN, "semiseg.networks")


def entry(name: str) -> Entry:
    """Return the entry of ``name``; raises `UserError` with the nearest name if it is unknown."""
    entries = table()
    if name not in entries:
        raise unknown("network", name, entries)
    return entries[name]
