"""`dtc` (DTC): Luo, Chen, Song, Wang, Semi-supervised medical image segmentation through dual-task
consistency (AAAI 2021).

L = Dice(p, y) + 0.3 mean (s - s*)^2 on labelled images + w(t) mean (sigmoid(-k s_c) - p_c)^2 on all images
and foreground classes c. p is the softmax of the segmentation head, s the tanh of a second head, s* the
signed distance map of the label (negative inside), and k = 1500. w(t) = exp(-5 (1 - t/T)^2).

Departures from the paper. It segments one structure in volumes, with a sigmoid. For several classes, we
use a softmax, one distance map per foreground class, and the mean of the losses over these classes. A
class that an image does not contain, which is common in slices, has the target 1 everywhere; in the
public code it is 0, so that sigmoid(-k s) would be 0.5 (``absent_classes``). Dice has squared denominators
and leaves the background out, as in the public code, which also has the weights 0.3 and 1 and both
gradients of the consistency. Ignored pixels are left out of the supervised terms only.
"""

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from semiseg.data.batch import Batch
from semiseg.losses.consistency import softmax_mse
from semiseg.losses.distance import distance_to_probability
from semiseg.methods import base
from semiseg.methods.base import Step
from semiseg.methods.common.distance_head import DistanceMethod, DistanceOptions
from semiseg.methods.common.ramp_up import sigmoid_rampup


class DTCOptions(DistanceOptions):
    """Options of ``dtc``."""

    consistency_weight: float = Field(1.0, ge=0, description="final weight of the consistency")
    steepness: float = Field(
        1500.0, gt=0, description="k of the step from a distance to a probability"
    )


class DTC(DistanceMethod):
    """Segmentation and regression of distance maps agree with each other."""

    Options: ClassVar[type[base.Options]] = DTCOptions

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms: ``supervised``, ``distance`` and ``consistency``."""
        o = self.options
        probabilities, distances = self.outputs(batch)
        consistency = softmax_mse(
            distance_to_probability(distances, o.steepness), probabilities[:, 1:]
        )
        return {
            **self.supervised_terms(probabilities, distances, batch),
            "consistency": o.consistency_weight * sigmoid_rampup(step.fraction) * consistency,
        }
