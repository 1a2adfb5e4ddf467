"""`mc-net` (MC-Net): Wu, Xu, Ge, Cai, Zhang, Semi-supervised left atrium segmentation with mutual
consistency training (MICCAI 2021); `mc-net+` (MC-Net+): Wu, Ge, Zhang, Xu, Zhang, Xia, Cai, Mutual
consistency learning for semi-supervised medical image segmentation (Medical Image Analysis 2022).

L = 0.5 sum_i Dice(p_i, y) on labelled images + w(t) sum_{i != j} mean (p_i - s(p_j))^2 on all images, with
s(p) = p^(1/T) / (p^(1/T) + (1 - p)^(1/T)) for each class and T = 0.1. p_i is the softmax of decoder i.
One encoder has two decoders in MC-Net and three in MC-Net+, which differ in upsampling: bilinear
(trilinear in 3D), transposed convolution, nearest. The first decoder is that of the network's section; it
is used for inference. w(t) = 0.1 exp(-5 (1 - t/T)^2).

Departures from the paper. The factor 0.5, the final value of w and the gradient through s(p_j) are those of
the public code (its 3D script has w = 1). There w reaches this value after 6,000 iterations (from memory);
here it rises over the whole run. We do not remember whether the papers detach s(p_j) (``detach_targets``).
The formula of s is printed for two classes; for more we apply it to each class, as the public code does
(``joint_sharpening``: over all classes, as in MixMatch). Dice is the package's, with squared denominators
and the background; in 3D the public code has the foreground only (``background``). A network without the
option ``upsampling`` (V-Net, Swin-Unet) gets decoders of one kind with other initial weights; the papers'
V-Net has the same three kinds of upsampling as the U-Net.
"""

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import Task
from semiseg.losses.dice import dice_loss
from semiseg.losses.mutual_consistency import mutual_consistency
from semiseg.losses.precision import at_least_single
from semiseg.methods import base
from semiseg.methods.base import Method, Step
from semiseg.methods.common.auxiliary_decoders import AuxiliaryDecoders
from semiseg.methods.common.batch_norm import run_parts
from semiseg.methods.common.pseudo_label import sharpen, sharpen_each_class
from semiseg.methods.common.ramp_up import sigmoid_rampup

UPSAMPLING = ("bilinear", "transposed", "nearest")


class MCNetOptions(base.NetworkOptions):
    """Options of ``mc-net`` and ``mc-net+``."""

    supervised_weight: float = Field(0.5, gt=0, description="weight of each decoder's Dice loss")
    consistency_weight: float = Field(0.1, ge=0, description="final weight of the consistency")
    temperature: float = Field(0.1, gt=0, le=1, description="T of the sharpening")
    joint_sharpening: bool = Field(
        False, description="whether sharpening normalises over all classes instead of each class"
    )
    detach_targets: bool = Field(
        False, description="whether sharpened predictions receive no gradient"
    )
    background: bool = Field(True, description="whether the Dice loss includes the background")


class MCNet(Method):
    """Decoders with different upsampling on one encoder."""

    Options: ClassVar[type[base.Options]] = MCNetOptions
    count: ClassVar[int] = 2
    """Number of decoders."""

    def __init__(self, task: Task, config: RunConfig) -> None:
        """See `Method`."""
        super().__init__(task, config)
        network, others = self.add_network(), self.count - 1
        own = getattr(network.config, "upsampling", None)
        kinds = [kind for kind in UPSAMPLING if kind != own][:others]
        changes: list[dict[str, str]] = (
            [{"upsampling": kind} for kind in kinds] if own else [{}] * others
        )
        self.auxiliary = AuxiliaryDecoders(network, len(task.classes), changes)

    def all_logits(self, batch: Batch) -> list[Tensor]:
        """Return the logits [B, K, ...] of each decoder, the main one first."""

        def run(images: Tensor) -> dict[int, Tensor]:
            network = self.network
            maps = network.encode(images)
            logits = network.classify(network.decode(maps))
            return dict(enumerate([logits, *self.auxiliary(network, [maps] * (self.count - 1))]))

        batch_norm = self.config.training.batch_norm
        return list(run_parts(run, self, batch.images, batch.labelled, batch_norm).values())

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms: ``supervised`` and ``consistency``."""
        labelled, o = batch.labelled, self.options
        predictions = [at_least_single(logits).softmax(1) for logits in self.all_logits(batch)]
        dice = sum(
            dice_loss(p[:labelled], batch.labels, background=o.background) for p in predictions
        )
        function = sharpen if o.joint_sharpening else sharpen_each_class
        targets = [
            function(p.detach() if o.detach_targets else p, o.temperature) for p in predictions
        ]
        weight = o.consistency_weight * sigmoid_rampup(step.fraction)
        return {
            "supervised": o.supervised_weight * dice,
            "consistency": weight * mutual_consistency(predictions, targets),
        }


class MCNetPlus(MCNet):
    """MC-Net with three decoders."""

    count: ClassVar[int] = 3
