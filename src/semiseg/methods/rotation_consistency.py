"""`rotation-consistency`: predictions of an image and of its rotated copy agree.

One network. L = 0.5 (CE + Dice) on labelled images + w(t) d on unlabelled ones, with
d = 0.5 mean (R p(x) - q(R x))^2. R rotates an image by 0 to 3 quarter turns; p(x) and q(R x) are softmaxes,
and the mean is over pixels and classes. w(t) = 0.1 exp(-5 (1 - t/T)^2).

The SSL4MIS benchmark trains this under the name of deep co-training, and the row "DCT" of papers that use
its code is probably this method. The method of the deep co-training paper is ``dct``. Bortsova et al. (MICCAI
2019) have the same idea with elastic deformations (from memory); the rest follows the benchmark.

Departures from public code. It has d = 0.5 [mean (R p(x) - q)^2 + mean (R p - q(R x))^2], where p and q
without an argument are detached; its gradient is that of the d above, its value is twice as large. Each image
has its own rotation; there a batch has one. The pass of the rotated images leaves the running averages of
batch norm alone. On volumes, which the benchmark does not have, rotations are in the plane of slices. A plane
whose sides or spacings differ is rotated by 0 or 2 quarter turns only.
"""

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import Task
from semiseg.losses.consistency import softmax_mse
from semiseg.losses.dice import supervised_loss
from semiseg.losses.precision import at_least_single
from semiseg.methods import base
from semiseg.methods.base import Method, Step
from semiseg.methods.common.batch_norm import batch_statistics
from semiseg.methods.common.quarter_turns import allows_quarter_turns, draw_turns, turn
from semiseg.methods.common.ramp_up import sigmoid_rampup
from semiseg.networks.build import spacing_of


class RotationConsistencyOptions(base.NetworkOptions):
    """Options of ``rotation-consistency``."""

    consistency_weight: float = Field(0.1, ge=0, description="final weight of the consistency")


class RotationConsistency(Method):
    """One network, applied to images and to rotated unlabelled images."""

    Options: ClassVar[type[base.Options]] = RotationConsistencyOptions

    def __init__(self, task: Task, config: RunConfig) -> None:
        """See `Method`."""
        super().__init__(task, config)
        self.add_network()
        self.quarter = allows_quarter_turns(config.data.sides, spacing_of(task, config))

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms: ``supervised`` and ``consistency``."""
        labelled, network = batch.labelled, self.network
        features = self.features(network, batch.images, labelled)
        logits = at_least_single(network.classify(features))
        terms = {"supervised": supervised_loss(logits[:labelled], batch.labels)}
        if not batch.unlabelled:
            return terms
        images = batch.images[labelled:]
        turns = draw_turns(len(images), images.device, self.quarter)
        with batch_statistics(network):
            of_rotated = at_least_single(network(turn(images, turns)))
        # half, as the gradient of 0.5 [MSE(p, sg(q)) + MSE(sg(p), q)] is half that of MSE(p, q)
        p = turn(logits[labelled:].softmax(1), turns)
        consistency = 0.5 * softmax_mse(p, of_rotated.softmax(1))
        weight = self.options.consistency_weight * sigmoid_rampup(step.fraction)
        terms["consistency"] = weight * consistency
        return terms
