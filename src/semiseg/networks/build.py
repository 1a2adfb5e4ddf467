"""Build a network with its head for a task and a configuration."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from semiseg import networks
from semiseg.config import RunConfig
from semiseg.data.task import Task
from semiseg.errors import UserError
from semiseg.networks.backbone import NetworkConfig
from semiseg.networks.mixed_precision import keep_layer_norm_single
from semiseg.networks.segmenter import Segmenter


def spacing_of(task: Task, config: RunConfig) -> tuple[float, ...]:
    """Return the sides of a pixel or voxel of the network's input; equal sides if unknown."""
    if config.data.dimensions == 2:
        return 1.0, 1.0
    return config.data.spacing or task.spacing or (1.0, 1.0, 1.0)


def section_of(config: RunConfig, name: str) -> NetworkConfig:
    """Return the section of the network ``name``; defaults if the configuration has none."""
    return networks.entry(name).config().model_validate(config.networks.get(name, {}))


def check_network(task: Task, config: RunConfig, name: str) -> None:
    """Check that the input's dimensions and size fit the network ``name``.

    Raises:
        UserError: if they do not; the message names values that fit.
    """
    entry, dimensions = networks.entry(name), config.data.dimensions
    if dimensions not in entry.dimensions:
        able = [n for n, e in networks.table().items() if dimensions in e.dimensions]
        what = "slices" if dimensions == 2 else "volumes"
        raise UserError(f"The network {name} does not support {what}: use {' or '.join(able)}.")
    entry.load().check_sides(
        section_of(config, name), config.data.sides, spacing_of(task, config)
    )  # fmt: skip


def build_network(
    task: Task, config: RunConfig, name: str = "unet", scales: Sequence[int] | None = None
) -> Segmenter:
    """Build the network ``name`` with its head.

    Args:
        task: its channels and classes set the input and output channels.
        config: the network's section and the input's size.
        name: a name in the table of networks.
        scales: reductions of the maps that the method uses besides the full resolution; parameters
            that affect only other maps are frozen. Default: all maps.

    Raises:
        UserError: if dimensions, ``data.size``, ``data.patch`` or the channels do not fit.
    """
    check_network(task, config, name)
    own = section_of(config, name)
    backbone = networks.entry(name).load().create(
        task.channels, own, config.data.sides, spacing_of(task, config)
    )  # fmt: skip
    if scales is not None:
        backbone.use_scales(scales)
    keep_layer_norm_single(backbone)
    return Segmenter(backbone, len(task.classes), own)


def check_patch(network: Segmenter, side: int, name: str) -> None:
    """Check that instance norm sees more than one pixel in the coarsest map of a patch.

    Raises:
        UserError: if not; the message names an alternative.
    """
    coarsest = network.encoder.reductions[-1]
    kinds = (nn.InstanceNorm2d, nn.InstanceNorm3d)
    if side < 2 * coarsest and any(isinstance(m, kinds) for m in network.modules()):
        raise UserError(
            f"The network's {len(network.encoder.reductions)} stages reduce patches of {side} pixels to one "
            f"pixel, which {name}.norm=instance cannot normalise: use {name}.norm=batch or a larger "
            "input (data.size or data.crop_size)."
        )


def downloads(config: RunConfig) -> list[str]:
    """The addresses of weights that building the networks downloads, with their sizes."""
    return [
        address
        for name in config.networks
        for address in networks.entry(name).load().downloads(section_of(config, name))
    ]


def without_pretrained(config: RunConfig, source: str | None = None) -> RunConfig:
    """Return the configuration with random instead of pretrained weights.

    Args:
        config: configuration of a run.
        source: replace only weights from this source; default: all.
    """

    def leaves(section: dict[str, Any]) -> bool:
        return "pretrained" in section and source in (None, section["pretrained"])

    plain = {
        name: section | {"pretrained": "none"} if leaves(section) else section
        for name, section in config.networks.items()
    }
    return config.model_copy(update={"networks": plain})
