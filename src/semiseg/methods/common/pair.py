"""Two different networks side by side, as cross teaching and MCSC train them.

Slices: a U-Net and a Swin-Unet, as in the papers. Volumes: a 3D U-Net and a V-Net.
"""

from collections.abc import Collection

from semiseg.config import RunConfig
from semiseg.data.task import Task
from semiseg.methods.base import ParameterGroup
from semiseg.methods.common.cnn import build_unet, voxel
from semiseg.networks.segmenter import Segmenter
from semiseg.networks.swin_unet import SwinUnet
from semiseg.networks.swin_weights import load_pretrained
from semiseg.networks.vnet import VNet


def pair_names(config: RunConfig) -> tuple[str, str]:
    """The two networks; the first is the one for inference."""
    return ("cnn", "transformer") if config.data.dimensions == 2 else ("cnn", "vnet")


def build_pair(
    task: Task, config: RunConfig, scales: Collection[int] = ()
) -> tuple[dict[str, Segmenter], list[str]]:
    """Both networks by name, and sentences on their initial weights; ``scales``: scales in use.

    Raises:
        UserError: naming sizes that fit both.
    """
    if config.data.dimensions == 2:
        # the Transformer's demands hold for the U-Net too
        SwinUnet.check_size(config.data.size, config.swin)
    cnn = build_unet(task, config)
    first, second = pair_names(config)
    if config.data.dimensions == 2:
        other, note = build_swin_unet(task, config, scales)
        return {first: cnn, second: other}, [note]
    return {first: cnn, second: build_vnet(task, config)}, []


def build_swin_unet(
    task: Task, config: RunConfig, scales: Collection[int] = ()
) -> tuple[Segmenter, str]:
    """The Transformer branch and a sentence on its initial weights; ``scales``: scales in use."""
    backbone = SwinUnet(task.channels, config.data.size, config.swin)
    if backbone.norm_eighth is not None and 8 not in scales:
        # no gradient will reach it, which several processes would wait for
        backbone.norm_eighth.requires_grad_(False)
    report = load_pretrained(backbone, config.swin.pretrained)
    return Segmenter(backbone, len(task.classes)), report.message


def build_vnet(task: Task, config: RunConfig) -> Segmenter:
    """V-Net; its head is the paper's 1x1x1 convolution."""
    backbone = VNet(task.channels, config.vnet, voxel(task, config))
    backbone.check_size(config.data.sides)
    return Segmenter(backbone, len(task.classes), kernel=1)


def groups(networks: dict[str, Segmenter], config: RunConfig) -> list[ParameterGroup]:
    """Both networks' parameters; the second's rate is a part of the first's and warms up."""
    (first, cnn), (second, other) = networks.items()
    section = config.swin if config.data.dimensions == 2 else config.vnet
    return [
        ParameterGroup(first, list(cnn.parameters())),
        ParameterGroup(
            second,
            [p for p in other.parameters() if p.requires_grad],
            section.learning_rate_scale,
            section.warmup,
        ),
    ]
