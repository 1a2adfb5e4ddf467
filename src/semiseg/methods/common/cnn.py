"""The U-Net that every method trains or compares with."""

from semiseg.config import RunConfig
from semiseg.data.task import Task
from semiseg.errors import UserError
from semiseg.networks.segmenter import Segmenter
from semiseg.networks.unet import UNet


def voxel(task: Task, config: RunConfig) -> tuple[float, ...]:
    """The sides of what a network sees as a pixel or voxel; equal ones where none are known."""
    if config.data.dimensions == 2:
        return 1.0, 1.0
    return config.data.spacing or task.spacing or (1.0, 1.0, 1.0)


def build_unet(task: Task, config: RunConfig) -> Segmenter:
    """A U-Net with its head, in 2D or 3D.

    Raises:
        UserError: where ``data.size``, ``data.patch`` or the channels do not fit.
    """
    data = config.data
    backbone = UNet(task.channels, config.unet, voxel(task, config))
    backbone.check_size(data.size if data.dimensions == 2 else data.sides)
    return Segmenter(backbone, len(task.classes), config.unet.head_kernel, config.unet.sigmoid)


def check_patch(side: int, config: RunConfig) -> None:
    """Refuse patches that the U-Net halves to one pixel, where each is normalised by itself.

    Raises:
        UserError: saying what to take instead.
    """
    stages = len(config.unet.channels)
    if config.unet.norm == "instance" and side < 2 * 2 ** (stages - 1):
        raise UserError(
            f"unet.norm instance does not fit patches of {side} pixels, of which {stages} stages leave "
            "one, with no deviation to normalise by: take unet.norm=batch, or a larger data.size."
        )
