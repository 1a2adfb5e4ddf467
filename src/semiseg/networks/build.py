"""From a task and a configuration to a network with its head."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from semiseg import networks
from semiseg.config import RunConfig
from semiseg.data.task import Task
from semiseg.errors import UserError
from semiseg.networks.backbone import NetworkConfig
from semiseg.networks.segmenter import Segmenter


def spacing_of(task: Task, config: RunConfig) -> tuple[float, ...]:
    """The sides of what a network sees as a pixel or voxel; equal ones where none are known."""
    if config.data.dimensions == 2:
        return 1.0, 1.0
    return config.data.spacing or task.spacing or (1.0, 1.0, 1.0)


def section_of(config: RunConfig, name: str) -> NetworkConfig:
    """The typed section of the network ``name``; defaults where the configuration has none."""
    return networks.entry(name).config().model_validate(config.networks.get(name, {}))


def check_network(task: Task, config: RunConfig, name: str) -> None:
    """Check that the input's dimensions and size fit the network ``name``.

    Raises:
        UserError: naming what fits.
    """
    entry, dimensions = networks.entry(name), config.data.dimensions
    if dimensions not in entry.dimensions:
        able = [n for n, e in networks.table().items() if dimensions in e.dimensions]
        what = "slices" if dimensions == 2 else "volumes"
        raise UserError(f"The network {name} does not take {what}: take {' or '.join(able)}.")
    entry.load().check_sides(
        section_of(config, name), config.data.sides, spacing_of(task, config)
    )  # fmt: skip


def build_network(
    task: Task, config: RunConfig, name: str = "unet", scales: Sequence[int] | None = None
) -> Segmenter:
    """The network ``name`` with its head.

    Args:
        task: its channels and classes decide on the input and the output.
        config: the network's own section and the input's size.
        name: an entry of the table of networks.
        scales: reductions of the maps that the method uses beside the full resolution; parameters
            that serve other maps alone are frozen. Default: all maps are used.

    Raises:
        UserError: where dimensions, ``data.size``, ``data.patch`` or the channels do not fit.
    """
    check_network(task, config, name)
    own = section_of(config, name)
    backbone = networks.entry(name).load().create(
        task.channels, own, config.data.sides, spacing_of(task, config)
    )  # fmt: skip
    if scales is not None:
        backbone.use_scales(scales)
    return Segmenter(backbone, len(task.classes), own)


def check_patch(network: Segmenter, side: int, name: str) -> None:
    """Check that instance norm has more than one pixel where patches of ``side`` are coarsest.

    Raises:
        UserError: saying what to take instead.
    """
    coarsest = network.encoder.reductions[-1]
    kinds = (nn.InstanceNorm2d, nn.InstanceNorm3d)
    if side < 2 * coarsest and any(isinstance(m, kinds) for m in network.modules()):
        raise UserError(
            f"{name}.norm instance does not fit patches of {side} pixels, of which the network's "
            f"{len(network.encoder.reductions)} stages leave one, with no deviation to normalise by: "
            f"take {name}.norm=batch, or a larger data.size."
        )


def without_pretrained(config: RunConfig, source: str | None = None) -> RunConfig:
    """The same configuration with random weights in place of pretrained ones.

    Args:
        config: of a run.
        source: only weights from this source are left out; default: all.
    """

    def leaves(section: dict[str, Any]) -> bool:
        return "pretrained" in section and source in (None, section["pretrained"])

    plain = {
        name: section | {"pretrained": "none"} if leaves(section) else section
        for name, section in config.networks.items()
    }
    return config.model_copy(update={"networks": plain})
