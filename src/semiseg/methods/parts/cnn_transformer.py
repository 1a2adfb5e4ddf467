"""A U-Net and a Swin-Unet side by side, as cross teaching and MCSC train them."""

from collections.abc import Collection

from semiseg.config import RunConfig
from semiseg.data.task import Task
from semiseg.methods.base import ParameterGroup
from semiseg.networks.segmenter import Segmenter
from semiseg.networks.swin_unet import SwinUnet
from semiseg.networks.swin_weights import load_pretrained


def check_size(config: RunConfig) -> None:
    """Refuse a size that the Transformer does not take, whose demands hold for the U-Net too.

    Raises:
        UserError: naming sizes that fit both.
    """
    SwinUnet.check_size(config.data.size, config.swin)


def build_swin_unet(
    task: Task, config: RunConfig, scales: Collection[int] = ()
) -> tuple[Segmenter, str]:
    """The Transformer branch and a sentence on its initial weights; ``scales``: taps in use."""
    backbone = SwinUnet(task.channels, config.data.size, config.swin)
    if backbone.norm_eighth is not None and 8 not in scales:
        # no gradient will reach it, which several processes would wait for
        backbone.norm_eighth.requires_grad_(False)
    report = load_pretrained(backbone, config.swin.pretrained)
    return Segmenter(backbone, len(task.classes)), report.message


def groups(cnn: Segmenter, transformer: Segmenter, config: RunConfig) -> list[ParameterGroup]:
    """Both networks' parameters; the Transformer's rate is a part of the CNN's and warms up."""
    swin = config.swin
    return [
        ParameterGroup("cnn", list(cnn.parameters())),
        ParameterGroup(
            "transformer",
            [p for p in transformer.parameters() if p.requires_grad],
            swin.learning_rate_scale,
            swin.warmup,
        ),
    ]
