"""The U-Net that every method trains or compares with."""

from semiseg.config import RunConfig
from semiseg.data.task import Task
from semiseg.networks.segmenter import Segmenter
from semiseg.networks.unet import UNet


def build_unet(task: Task, config: RunConfig, sigmoid: bool = False) -> Segmenter:
    """A U-Net with its head; ``sigmoid``: one channel for two classes.

    Raises:
        UserError: where ``data.size`` or the channels do not fit.
    """
    backbone = UNet(task.channels, config.unet)
    backbone.check_size(config.data.size)
    return Segmenter(backbone, len(task.classes), config.unet.head_kernel, sigmoid)
